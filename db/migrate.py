"""The schema's revisions, up and down. Only `python -m db migrate` and tests load alembic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

LOCK = 7_205_001  # one migrator at a time: two deploys may start together


def config() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return settings


def upgrade(engine: Engine, revision: str = "head") -> None:
    run(engine, lambda settings: command.upgrade(settings, revision))


def downgrade(engine: Engine, revision: str) -> None:
    run(engine, lambda settings: command.downgrade(settings, revision))


def run(engine: Engine, change: Callable[[Config], None]) -> None:
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        connection.execute(text("set local statement_timeout = 0"))
        settings = config()
        settings.attributes["connection"] = connection
        change(settings)
