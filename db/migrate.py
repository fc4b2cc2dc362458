"""The schema's revisions, up and down. Only `python -m db migrate` and tests load alembic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import sleep

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from db.connections import change_settings

# One migration at a time, since two deploys may start together.
LOCK = 7_205_001
TURN_SECONDS = 0.2


def config() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return settings


def upgrade(engine: Engine, revision: str = "head") -> None:
    run(engine, lambda settings: command.upgrade(settings, revision))


def downgrade(engine: Engine, revision: str) -> None:
    run(engine, lambda settings: command.downgrade(settings, revision))


def run(engine: Engine, change: Callable[[Config], None]) -> None:
    """Each revision runs in a transaction of its own; those that create an index concurrently in
    none. So the lock has one to itself: through a pooler, nothing else lasts as long."""
    with engine.begin() as turn, engine.connect() as connection:
        wait_for_turn(turn)
        try:
            change_settings(connection, {"statement_timeout": "0"})
            settings = config()
            settings.attributes["connection"] = connection
            change(settings)
        finally:
            # Nobody else gets a connection without a timeout.
            connection.invalidate()


def wait_for_turn(connection: Connection) -> None:
    """Polls for the lock: a statement that waits for it would block `create index concurrently` for
    ever. Between two statements this transaction holds no snapshot, so that it blocks none."""
    connection.execute(text("set local idle_in_transaction_session_timeout = 0"))
    while not connection.scalar(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK}):
        sleep(TURN_SECONDS)
