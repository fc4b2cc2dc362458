"""How the whole stands, and the one thing that the page can ask for."""

from __future__ import annotations

import logging
import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import streamlit as st
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from dashboard.data.database import Trouble, find_company, open_database, read
from dashboard.data.overview import FRESH
from dashboard.settings import DashboardSettings
from db.ledger import replays
from db.reporting import summary as stats
from db.reporting.health import HealthFacts, gather_facts
from db.session import now

log = logging.getLogger(__name__)
PROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"
BY = "dashboard"


@dataclass(frozen=True, slots=True)
class Standing:
    company_id: str
    time_zone: str
    facts: HealthFacts
    replay_asked_at: datetime | None
    as_of: datetime


@st.cache_data(ttl=FRESH, max_entries=1, show_spinner=False)
def find_standing(_settings: DashboardSettings) -> Standing | Trouble:
    def look(session: Session) -> Standing | Trouble:
        found = find_company(session, _settings.whop_company_id)
        if isinstance(found, Trouble):
            return found
        whose, at = found or "", now()
        return Standing(
            whose,
            stats.find_time_zone(session, whose).key,
            gather_facts(session, whose, at),
            replays.find_open(session, whose),
            at,
        )

    return read(_settings, look)


def ask_for_replay(settings: DashboardSettings, company_id: str) -> bool:
    """False: the database could not be reached. To ask twice is to ask once."""
    try:
        with open_database(settings).begin() as session:
            replays.ask(session, company_id, BY, now())
    except (OperationalError, InterfaceError, PoolTimeoutError):
        log.warning("a replay could not be asked for: the database does not answer")
        return False
    find_standing.clear()
    return True


@cache
def find_version() -> str:
    return str(tomllib.loads(PROJECT.read_text())["project"]["version"])
