"""The schema's revisions, up and down. Only `python -m db migrate` and tests load alembic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import sleep

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

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
    none."""
    with engine.connect() as connection:
        wait_for_turn(connection)
        try:
            connection.execute(text("set statement_timeout = 0"))
            connection.commit()
            settings = config()
            settings.attributes["connection"] = connection
            change(settings)
        finally:
            # Closes the session, which releases its lock.
            connection.invalidate()


def wait_for_turn(connection: Connection) -> None:
    """Polls for the lock: a statement that waits for it would block `create index concurrently` for
    ever."""
    while not connection.scalar(text("select pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        connection.commit()
        sleep(TURN_SECONDS)
    connection.commit()
