"""How commands connect to the database."""

from __future__ import annotations

from db.session import (
    SessionFactory,
    connect,
    database_url,
    session_factory,
    wait_until_reachable,
)
from db.settings import CommonSettings


def open_database(settings: CommonSettings, process: str, **more: str) -> SessionFactory:
    """Blocks until the server takes writes. `process` shows in pg_stat_activity; `more` are
    settings of the session."""
    engine = connect(database_url(settings), process, more)
    wait_until_reachable(engine)
    return session_factory(engine)
