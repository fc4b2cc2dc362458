"""Connecting to Postgres, waiting for it, and reading the clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
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
from db.connections import READING, Sessions
from db.models import write_json
from db.settings import CommonSettings, normalize_url
from db.sqlstates import WORTH_REPEATING, Fault, find_fault

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


class Outage(StrEnum):
    """Why nothing can be read or written now. The value is the sentence that people read."""

    AWAY = "the database does not answer"
    READ_ONLY = "the database takes no writes: it is a standby, or was made read-only"
    DENIED = "the database does not let this user do its work; check its rights"
    UNMIGRATED = "the database is not migrated; run: python -m db migrate"
    OUTDATED = "the database is newer than this process; restart it with the newer version"


OUTAGES = {
    Fault.AWAY: Outage.AWAY,
    Fault.STALE: Outage.AWAY,
    Fault.CONFLICT: Outage.AWAY,
    Fault.READ_ONLY: Outage.READ_ONLY,
    Fault.DENIED: Outage.DENIED,
    Fault.UNMIGRATED: Outage.UNMIGRATED,
}


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
    return OUTAGES.get(judge(error))


def is_transient(error: Exception) -> bool:
    """Whether the same work may succeed at once: after a deadlock, or on a new connection where
    this one was cut, or leads to a server that takes no writes."""
    cut = isinstance(error, DBAPIError) and error.connection_invalidated
    return cut or judge(error) in WORTH_REPEATING


def judge(error: Exception) -> Fault:
    if isinstance(error, PoolTimeout):
        return Fault.AWAY
    if not isinstance(error, DBAPIError):
        return Fault.BUG
    if getattr(error.orig, READING, False):
        # We write where we meant to read.
        return Fault.BUG
    if code := find_code(error):
        return find_fault(code)
    # The driver's own words, since no server has said anything: it was not reached, or was lost.
    lost = error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))
    return Fault.AWAY if lost else Fault.BUG


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
        json_serializer=write_json,
        # Nothing else at the start: poolers refuse it.
        connect_args={"application_name": process} | LINE,
        **{"pool_size": 5, "max_overflow": 5, "pool_timeout": 5} | options,
    )
    Sessions(SETTINGS | dict(settings or {})).listen(engine, ask_first)
    return engine


def session_factory(engine: Engine) -> SessionFactory:
    return sessionmaker(engine, expire_on_commit=False)


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
