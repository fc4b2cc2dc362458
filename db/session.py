"""Connecting to Postgres, waiting for it, and reading the clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session, sessionmaker

from db import embedded
from db.connections import Sessions
from db.outages import DatabaseUnavailable, Outage, translate_errors
from db.settings import CommonSettings, normalize_url

log = logging.getLogger(__name__)

SessionFactory = sessionmaker[Session]
# A server whose machine is gone without a word is given up after half a minute.
LINE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Milliseconds.
    "tcp_user_timeout": 20_000,
}
# Of each session with Postgres.
SETTINGS = {"timezone": "utc", "statement_timeout": "15s"}
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"


def now() -> datetime:
    """Called once per request or unit of work and passed down; rules never call it."""
    return datetime.now(UTC)


def database_url(settings: CommonSettings) -> URL:
    if settings.database_url is None:
        return embedded.url()
    return normalize_url(settings.database_url.get_secret_value())


def connect(
    url: URL,
    process: str,
    settings: Mapping[str, str] | None = None,
    *,
    ask_first: bool = True,
    **options: Any,
) -> Engine:
    """`process` shows in pg_stat_activity; `settings` are further ones of its sessions.

    `ask_first`: each connection is asked, before it is used, whether its server is still there and
    takes writes. Without, the first statement finds out.

    Errors do not quote parameters, since these have personal data.
    """
    engine = create_engine(
        url,
        hide_parameters=True,  # invariant 8: database errors do not quote rows
        # Nothing else at the start: poolers refuse it.
        connect_args={"application_name": process} | LINE,
        **{"pool_size": 5, "max_overflow": 5, "pool_timeout": 5} | options,
    )
    Sessions(SETTINGS | dict(settings or {})).listen(engine, ask_first)
    return engine


def session_factory(engine: Engine) -> SessionFactory:
    return sessionmaker(engine, expire_on_commit=False)


class KeptSession:
    """A session and its connection, kept from one transaction to the next, for one thread: to get
    both and to give them back takes a third of a short transaction. An error gives them up."""

    def __init__(self, sessions: SessionFactory) -> None:
        self.sessions = sessions
        self.session: Session | None = None

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """As `sessions.begin()`. The session itself begins only where it is asked and not its
        connection alone (`find_connection`)."""
        if self.session is None:
            engine: Engine = self.sessions.kw["bind"]
            self.session = self.sessions(bind=engine.connect())
        session = self.session
        try:
            with find_connection(session).begin():
                yield session
                if session.in_transaction():
                    session.commit()
                    # Nothing that was read in one transaction is believed in the next.
                    session.close()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.close()
            find_connection(session).close()


def find_connection(session: Session) -> Connection:
    """The session's, without beginning the session where its transaction has begun already."""
    return session.bind if isinstance(session.bind, Connection) else session.connection()


@cache
def head_revision() -> str:
    """From the migrations' file names: importing alembic would take 50 MB in each process."""
    return max(path.stem[:4] for path in MIGRATIONS.glob("[0-9]*.py"))


def unready_reason(engine: Engine) -> Outage | None:
    """None: the database takes writes and has this code's schema."""
    try:
        check_schema(engine)
    except DatabaseUnavailable as error:
        return error.outage
    return None


def check_schema(engine: Engine) -> None:
    """Raises DatabaseUnavailable where the schema is not this code's, or cannot be asked."""
    with translate_errors(), engine.connect() as connection:
        current = connection.scalar(text("select version_num from alembic_version"))
    known = head_revision()
    if current != known:
        newer = current is not None and current > known
        raise DatabaseUnavailable(Outage.OUTDATED if newer else Outage.UNMIGRATED)


def wait_until_ready(engine: Engine, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Blocks until the database is reachable and migrated. False: `stopped` came first."""
    return wait_while(engine, set(Outage), stopped)


def wait_until_reachable(engine: Engine) -> None:
    wait_while(engine, {Outage.AWAY, Outage.READ_ONLY}, lambda: False)


def wait_while(engine: Engine, reasons: set[Outage], stopped: Callable[[], bool]) -> bool:
    logged = None
    while not stopped():
        try:
            check_schema(engine)
        except DatabaseUnavailable as error:
            if error.outage not in reasons:
                return True
            if error.outage != logged:
                log.warning("waiting: %s%s", error, hint(engine, error))
                logged = error.outage
        else:
            return True
        time.sleep(0.5)
    return False


def hint(engine: Engine, error: DatabaseUnavailable) -> str:
    if error.outage is not Outage.AWAY:
        return ""
    if engine.url == embedded.url():
        return " (DATABASE_URL is not set, so this is the embedded one: python -m db serve)"
    # A server, or a pooler, that was reached and refused the connection.
    _, refused, words = str(getattr(error.__cause__, "orig", "")).partition("FATAL:")
    return f" (it says: {words.strip()})" if refused else ""
