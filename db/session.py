"""Connecting to Postgres, waiting for it, and reading the clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from db import embedded
from db.models import write_json
from db.settings import CommonSettings, normalize_url

log = logging.getLogger(__name__)

SessionFactory = sessionmaker[Session]
STATEMENT_TIMEOUT_MS = 15_000
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
DEADLOCK = "40P01"
# Postgres's codes for a table or a column that does not exist.
UNDEFINED = {"42P01", "42703"}
# Postgres's class of codes for input that exceeds its limits: not an outage.
LIMIT_EXCEEDED = "54"


class Outage(StrEnum):
    """Why nothing can be read or written now. The value is the sentence that people read."""

    AWAY = "the database does not answer"
    UNMIGRATED = "the database is not migrated; run: python -m db migrate"
    OUTDATED = "the database is newer than this process; restart it with the newer version"


class DatabaseUnavailable(Exception):
    """Nothing was done, and the same may work later."""

    def __init__(self, outage: Outage = Outage.AWAY, words: str = "") -> None:
        super().__init__(words or outage.value)
        self.outage = outage


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns errors that mean an outage into DatabaseUnavailable; other errors stay as they are."""
    try:
        yield
    except SQLAlchemyError as error:
        outage = find_outage(error)
        if outage is None:
            raise
        raise DatabaseUnavailable(outage) from error


def find_outage(error: Exception) -> Outage | None:
    """The one definition of an unavailable database. None: the error means something else."""
    if isinstance(error, PoolTimeout):
        return Outage.AWAY
    if not isinstance(error, DBAPIError):
        return None
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return Outage.AWAY
    if isinstance(error, OperationalError):
        return None if find_code(error).startswith(LIMIT_EXCEEDED) else Outage.AWAY
    return Outage.UNMIGRATED if find_code(error) in UNDEFINED else None


def is_transient(error: Exception) -> bool:
    """Whether the same work may succeed at once: after a deadlock, or after a stale connection (the
    server was restarted), which the pool has dropped."""
    if not isinstance(error, DBAPIError):
        return False
    return find_code(error) == DEADLOCK or error.connection_invalidated


def find_code(error: Exception) -> str:
    """Postgres's code of the error; empty where the server was not reached."""
    return getattr(getattr(error, "orig", None), "pgcode", None) or ""


def now() -> datetime:
    """Called once per request or unit of work and passed down; rules never call it."""
    return datetime.now(UTC)


def database_url(settings: CommonSettings) -> URL:
    if settings.database_url is None:
        return embedded.url()
    return normalize_url(settings.database_url.get_secret_value())


def connect(url: URL, process: str, more: str = "", **options: Any) -> Engine:
    """`process` shows in pg_stat_activity; `more` are options for the server.

    Errors do not quote parameters, since these have personal data.
    """
    return create_engine(
        url,
        hide_parameters=True,  # invariant 8: database errors do not quote rows
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
    """From the migrations' file names: importing alembic would take 50 MB in each process."""
    return max(path.stem[:4] for path in MIGRATIONS.glob("[0-9]*.py"))


def unready_reason(engine: Engine) -> Outage | None:
    """None: the database answers and has this code's schema."""
    try:
        with translate_errors(), engine.connect() as connection:
            current = connection.scalar(text("select version_num from alembic_version"))
    except DatabaseUnavailable as error:
        return error.outage
    known = head_revision()
    if current == known:
        return None
    return Outage.OUTDATED if current is not None and current > known else Outage.UNMIGRATED


def check_schema(engine: Engine) -> None:
    """Raises DatabaseUnavailable where the schema is not this code's."""
    if reason := unready_reason(engine):
        raise DatabaseUnavailable(reason)


def wait_until_ready(engine: Engine, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Blocks until the database is reachable and migrated. False: `stopped` came first."""
    return wait_while(engine, set(Outage), stopped)


def wait_until_reachable(engine: Engine) -> None:
    wait_while(engine, {Outage.AWAY}, lambda: False)


def wait_while(engine: Engine, reasons: set[Outage], stopped: Callable[[], bool]) -> bool:
    logged = None
    while not stopped():
        reason = unready_reason(engine)
        if reason not in reasons:
            return True
        if reason != logged:
            log.warning("waiting: %s%s", reason, hint(engine) if reason is Outage.AWAY else "")
            logged = reason
        time.sleep(0.5)
    return False


def hint(engine: Engine) -> str:
    if engine.url == embedded.url():
        return " (DATABASE_URL is not set, so this is the embedded one: python -m db serve)"
    return ""
