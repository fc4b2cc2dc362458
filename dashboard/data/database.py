"""Reaching the database, and what to show when it cannot be reached."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import streamlit as st
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from dashboard.settings import DashboardSettings
from db.logs import configure_logging
from db.reporting import summary as stats
from db.session import SessionFactory, connect, database_url, session_factory

log = logging.getLogger(__name__)
Found = TypeVar("Found")


class Trouble(StrEnum):
    """Why no figures can be shown. A value, not an exception, so that it is cached as well."""

    AWAY = "away"
    UNMIGRATED = "unmigrated"
    SEVERAL_COMPANIES = "several_companies"


@st.cache_resource(show_spinner=False)
def open_database(_settings: DashboardSettings) -> SessionFactory:
    configure_logging(_settings.log_level, _settings.log_format)
    return session_factory(connect(database_url(_settings), "dashboard"))


def read(settings: DashboardSettings, what: Callable[[Session], Found]) -> Found | Trouble:
    """All that `what` reads is of one moment, so that the parts of a page agree."""

    def read_only(session: Session) -> Found:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        session.connection(execution_options=options)
        return what(session)

    return reach(settings, read_only)


def write(settings: DashboardSettings, what: Callable[[Session], Found]) -> Found | Trouble:
    """All of it or nothing."""

    def commit(session: Session) -> Found:
        with session.begin():
            return what(session)

    return reach(settings, commit)


def reach(settings: DashboardSettings, what: Callable[[Session], Found]) -> Found | Trouble:
    try:
        with open_database(settings)() as session:
            return what(session)
    except ProgrammingError:
        reason = Trouble.UNMIGRATED
    except (OperationalError, InterfaceError, PoolTimeoutError):
        reason = Trouble.AWAY
    log.warning("nothing done: the database is %s", reason)
    return reason


def find_company(session: Session, company_id: str | None) -> str | Trouble | None:
    """Whose figures these are: the one set, or the only one there is. None: nobody's yet."""
    if company_id is not None:
        return company_id
    known = stats.list_company_ids(session)
    if len(known) > 1:
        return Trouble.SEVERAL_COMPANIES
    return known[0] if known else None
