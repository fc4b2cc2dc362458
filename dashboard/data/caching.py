"""What readers share, how long it is kept, and the key it is kept under.

All that a cached function is given is in its key: settings and sessions by the database that they
lead to. So the company has to be an argument, and nothing of one is shown to another.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import streamlit as st
from sqlalchemy.orm import Session
from streamlit.runtime.caching.cache_utils import CachedFunc

from dashboard.settings import DashboardSettings

Given = ParamSpec("Given")
Found = TypeVar("Found")
# Half a refresh: however many people look, the database is asked once in this time.
FRESH = timedelta(seconds=5)
# What takes windows of five days to change, and reads all of a company's payments.
SLOW = timedelta(minutes=5)
# Kept at once by one function, for all companies; the longest not asked for go first.
ANSWERS = 200


def name_database(settings: DashboardSettings) -> str | None:
    """None: the embedded one."""
    return None if settings.database_url is None else settings.database_url.get_secret_value()


def name_bind(session: Session) -> str:
    return str(session.get_bind().engine.url)


BY_DATABASE: dict[str | type[Any], Callable[[Any], Any]] = {
    DashboardSettings: name_database,
    Session: name_bind,
}


def cached(
    ttl: timedelta, entries: int = ANSWERS
) -> Callable[[Callable[Given, Found]], CachedFunc[Given, Found]]:
    return st.cache_data(ttl=ttl, max_entries=entries, show_spinner=False, hash_funcs=BY_DATABASE)
