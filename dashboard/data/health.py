"""What the health page reads, and the replay that it can request."""

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
class HealthSnapshot:
    company_id: str
    time_zone: str
    facts: HealthFacts
    replay_requested_at: datetime | None
    as_of: datetime


@cached(FRESH)
def read_health(
    settings: DashboardSettings, company_id: str | None
) -> HealthSnapshot | Unavailable:
    def look(session: Session) -> HealthSnapshot:
        company, at = company_id or "", now()
        return HealthSnapshot(
            company,
            find_time_zone(session, company).key,
            gather_facts(session, company, at),
            replays.find_open(session, company),
            at,
        )

    return read(settings, look)


def ask_for_replay(settings: DashboardSettings, company_id: str) -> bool:
    """False: the database could not be reached. Asking again changes nothing."""
    done = write(settings, lambda session: replays.ask(session, company_id, DASHBOARD, now()))
    if isinstance(done, Unavailable):
        return False
    read_health.clear(settings, company_id)
    return True


@cache
def find_version() -> str:
    return str(tomllib.loads(PROJECT.read_text())["project"]["version"])
