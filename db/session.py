"""Reaching Postgres: the engine, waiting for it, and the one helper for the time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session, sessionmaker

from db import embedded
from db.models import write_json
from db.settings import CommonSettings, normalize_url

log = logging.getLogger(__name__)

SessionFactory = sessionmaker[Session]
STATEMENT_TIMEOUT_MS = 15_000
AWAY = "the database does not answer"
UNMIGRATED = "the database is not migrated; run: python -m db migrate"
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"


def now() -> datetime:
    """Read once per request or unit of work and passed down; rules never call it."""
    return datetime.now(UTC)


def database_url(settings: CommonSettings) -> URL:
    if settings.database_url is None:
        return embedded.url()
    return normalize_url(settings.database_url.get_secret_value())


def connect(url: URL, process: str, more: str = "", **options: Any) -> Engine:
    """`process` shows in pg_stat_activity; `more` are server options.

    Parameters stay out of error texts: they hold people.
    """
    return create_engine(
        url,
        hide_parameters=True,
        json_serializer=write_json,
        connect_args={
            "application_name": process,
            "connect_timeout": 5,
            "options": f"-c timezone=utc -c statement_timeout={STATEMENT_TIMEOUT_MS} {more}",
        },
        **{"pool_pre_ping": True, "pool_size": 5, "max_overflow": 5, "pool_timeout": 5} | options,
    )


def session_factory(engine: Engine) -> SessionFactory:
    return sessionmaker(engine, expire_on_commit=False)


@cache
def head_revision() -> str:
    """From the migrations' file names: importing alembic would cost each process 50 MB."""
    return max(path.stem[:4] for path in MIGRATIONS.glob("[0-9]*.py"))


def unready_reason(engine: Engine) -> str | None:
    """None when the database answers and has this code's schema; else what to do about it."""
    try:
        with engine.connect() as connection:
            current = connection.scalar(text("select version_num from alembic_version"))
    except OperationalError:
        return AWAY
    except ProgrammingError:
        current = None
    return None if current == head_revision() else UNMIGRATED


def wait_until_ready(engine: Engine, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Blocks until the database is reachable and migrated; False when `stopped` says so first."""
    return wait_while(engine, {AWAY, UNMIGRATED}, stopped)


def wait_until_reachable(engine: Engine) -> None:
    wait_while(engine, {AWAY}, lambda: False)


def wait_while(engine: Engine, reasons: set[str], stopped: Callable[[], bool]) -> bool:
    told = None
    while not stopped():
        reason = unready_reason(engine)
        if reason not in reasons:
            return True
        if reason != told:
            log.warning("waiting: %s%s", reason, hint(engine) if reason == AWAY else "")
            told = reason
        time.sleep(0.5)
    return False


def hint(engine: Engine) -> str:
    if engine.url == embedded.url():
        return " (DATABASE_URL is not set, so this is the embedded one: python -m db serve)"
    return ""
