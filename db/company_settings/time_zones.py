"""Which names are time zones. Pages count days in Python and in Postgres, each with a list of its
own: a name is good only where both know it."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

# They mean whatever a machine is set to, or no place at all.
NO_PLACES = frozenset({"localtime", "posixrules", "Factory"})
FALLBACK = "UTC"
NAMES = text("select name from pg_timezone_names")
# Reading the database's list opens hundreds of files there, and it changes with its version only.
known: dict[URL, frozenset[str]] = {}


@cache
def list_python_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - NO_PLACES


def list_time_zones(session: Session) -> frozenset[str]:
    """The names that may be chosen, in the one spelling that both know them by."""
    url = session.get_bind().engine.url
    if url not in known:
        known[url] = list_python_zones() & set(session.scalars(NAMES))
    return known[url]


def read_zone(session: Session, saved: str) -> ZoneInfo:
    """UTC where the saved name is none that we can use: an old server's, or one put in by hand."""
    return ZoneInfo(saved if saved in list_time_zones(session) else FALLBACK)
