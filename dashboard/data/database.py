"""Access to the database, and why it may be unavailable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import streamlit as st
from sqlalchemy.orm import Session

from dashboard.data.caching import BY_DATABASE, FRESH, cached
from dashboard.settings import DashboardSettings
from db.company_settings.recovery import list_company_ids
from db.logs import configure_logging
from db.outages import DatabaseUnavailable, Outage, translate_errors
from db.session import SessionFactory, connect, database_url, session_factory

log = logging.getLogger(__name__)
Found = TypeVar("Found")
More = ParamSpec("More")


class Unavailable(StrEnum):
    """Why no figures can be shown. A value, not an exception, so that it is cached as well."""

    AWAY = "away"
    UNMIGRATED = "unmigrated"
    SEVERAL_COMPANIES = "several_companies"


TROUBLES = {
    Outage.AWAY: Unavailable.AWAY,
    Outage.READ_ONLY: Unavailable.AWAY,
    Outage.DENIED: Unavailable.AWAY,
    Outage.UNMIGRATED: Unavailable.UNMIGRATED,
    Outage.OUTDATED: Unavailable.UNMIGRATED,
}


@st.cache_resource(show_spinner=False, hash_funcs=BY_DATABASE)
def open_database(settings: DashboardSettings) -> SessionFactory:
    configure_logging(settings.log_level, settings.log_format)
    return session_factory(connect(database_url(settings), "dashboard"))


def read(settings: DashboardSettings, what: Callable[[Session], Found]) -> Found | Unavailable:
    """Reads one snapshot, so that the parts of a page agree."""

    def read_only(session: Session) -> Found:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        session.connection(execution_options=options)
        return what(session)

    return reach(settings, read_only)


def write(settings: DashboardSettings, what: Callable[[Session], Found]) -> Found | Unavailable:
    """In one transaction."""

    def commit(session: Session) -> Found:
        with session.begin():
            return what(session)

    return reach(settings, commit)


def reach(settings: DashboardSettings, what: Callable[[Session], Found]) -> Found | Unavailable:
    try:
        with translate_errors(), open_database(settings)() as session:
            return what(session)
    except DatabaseUnavailable as error:
        log.warning("nothing done: %s", error)
        return TROUBLES[error.outage]


# --- company -------------------------------------------------------------------------------------


def for_company(
    settings: DashboardSettings,
    read: Callable[Concatenate[DashboardSettings, str | None, More], Found],
    *more: More.args,
    **named: More.kwargs,
) -> Found | Unavailable:
    """Calls `read` for the company whose pages these are. Only this function decides whose they
    are."""
    company_id = find_company(settings)
    if isinstance(company_id, Unavailable):
        return company_id
    return read(settings, company_id, *more, **named)


def find_company(settings: DashboardSettings) -> str | Unavailable | None:
    """The configured company, or the only one. None: there is none yet."""
    if settings.whop_company_id is not None:
        return settings.whop_company_id
    return find_only_company(settings)


@cached(FRESH)
def find_only_company(settings: DashboardSettings) -> str | Unavailable | None:
    known = read(settings, partial(list_company_ids, limit=2))
    if isinstance(known, Unavailable):
        return known
    if len(known) > 1:
        return Unavailable.SEVERAL_COMPANIES
    return known[0] if known else None
