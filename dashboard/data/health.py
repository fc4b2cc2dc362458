"""How the whole stands, and the one thing that the page can ask for."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from sqlalchemy.orm import Session

from dashboard.data.caching import FRESH, cached
from dashboard.data.database import Unavailable, read, write
from dashboard.settings import DashboardSettings
from db.audit_log import DASHBOARD
from db.ledger import replays
from db.reporting.health import HealthFacts, gather_facts
from db.reporting.summary import find_time_zone
from db.session import now

PROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Standing:
    company_id: str
    time_zone: str
    facts: HealthFacts
    replay_requested_at: datetime | None
    as_of: datetime


@cached(FRESH)
def find_standing(settings: DashboardSettings, company_id: str | None) -> Standing | Unavailable:
    def look(session: Session) -> Standing:
        whose, at = company_id or "", now()
        return Standing(
            whose,
            find_time_zone(session, whose).key,
            gather_facts(session, whose, at),
            replays.find_open(session, whose),
            at,
        )

    return read(settings, look)


def ask_for_replay(settings: DashboardSettings, company_id: str) -> bool:
    """False: the database could not be reached. To ask twice is to ask once."""
    done = write(settings, lambda session: replays.ask(session, company_id, DASHBOARD, now()))
    if isinstance(done, Unavailable):
        return False
    find_standing.clear(settings, company_id)
    return True


@cache
def find_version() -> str:
    return str(tomllib.loads(PROJECT.read_text())["project"]["version"])
