"""When the database cannot serve: why, in words, and which errors mean it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.connections import READING
from db.sqlstates import WORTH_REPEATING, Fault, find_fault


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
