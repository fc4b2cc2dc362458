"""What the dashboard keeps for all its readers: every key names the company it was read for."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import _lru_cache_wrapper
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
import streamlit as st
from pydantic import SecretStr
from streamlit.runtime.caching.cache_utils import CachedFunc

import dashboard
from dashboard.data import database
from dashboard.data.caching import FRESH, cached
from dashboard.settings import DashboardSettings
from tests.pages import fresh as fresh

KNOW_NO_COMPANY = {
    "dashboard.data.database.open_database": "the engine",
    "dashboard.data.database.find_only_company": "which company there is",
    "dashboard.data.health.find_version": "the project's version, from its files",
    "dashboard.data.insights.read_pooled": "what all gain together, which names nobody",
    "dashboard.serving.compress": "Streamlit's own files",
    "dashboard.ui.palette.render_insight_style": "colours",
    "dashboard.ui.palette.render_style": "colours",
    "dashboard.ui.state.render_state": "HTML of the very words that are its key, and nothing else",
}
# To import one is to start it.
RUN_BY_STREAMLIT = {"dashboard.app", "dashboard.navigation"}


def list_modules() -> list[ModuleType]:
    names = [one.name for one in pkgutil.walk_packages(dashboard.__path__, "dashboard.")]
    return [import_module(name) for name in names if name not in RUN_BY_STREAMLIT]


def list_cached() -> Iterator[tuple[str, Any]]:
    """By its name, what Streamlit or functools keeps the answers of."""
    for module in list_modules():
        for name, found in vars(module).items():
            kept = isinstance(found, CachedFunc | _lru_cache_wrapper)
            if kept and found.__module__ == module.__name__:
                yield f"{module.__name__}.{name}", found


def names_company(cached: Any) -> bool:
    """Whether an argument that is hashed is the company, or holds it."""
    hints = get_type_hints(cached.__wrapped__)
    return any(
        name == "company_id" or holds_company(hints[name])
        for name in inspect.signature(cached.__wrapped__).parameters
        if not name.startswith("_")
    )


def holds_company(kind: Any) -> bool:
    return is_dataclass(kind) and any(field.name == "company_id" for field in fields(kind))


def test_every_key_names_the_company() -> None:
    cached = dict(list_cached())
    assert len(cached) > len(KNOW_NO_COMPANY)
    assert KNOW_NO_COMPANY.keys() <= cached.keys()
    wrong = [name for name, found in cached.items() if not names_company(found)]
    assert sorted(wrong) == sorted(KNOW_NO_COMPANY)


def test_nothing_that_is_given_is_left_out_of_a_key() -> None:
    for name, found in list_cached():
        parameters = inspect.signature(found.__wrapped__).parameters
        assert [one for one in parameters if one.startswith("_")] == [], name


def test_it_would_notice_a_cache_that_forgets_the_company() -> None:
    @cached(FRESH)
    def forgets(settings: DashboardSettings) -> str:
        return "anybody's"

    @cached(FRESH)
    def hides(settings: DashboardSettings, _company_id: str) -> str:
        return "anybody's"

    @cached(FRESH)
    def knows(settings: DashboardSettings, company_id: str) -> str:
        return company_id

    assert [names_company(one) for one in (forgets, hides, knows)] == [False, False, True]


def test_nothing_else_in_the_dashboard_caches() -> None:
    """What Streamlit keeps is kept through `cached`; the engine alone is a resource."""
    folder = Path(dashboard.__path__[0])
    caching = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if "cache_data" in (text := path.read_text()) or "cache_resource" in text
    }
    assert caching == {"data/caching.py", "data/database.py"}


def test_what_is_kept_belongs_to_the_database_it_was_read_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another address is another database, whatever else is the same."""
    st.cache_resource.clear()
    urls = [SecretStr(f"postgresql://nobody:{word}@/{word}") for word in ("one", "two")]
    one, two = (DashboardSettings(database_url=url, whop_company_id="biz_a") for url in urls)
    assert database.open_database(one) is database.open_database(one)
    assert database.open_database(one) is not database.open_database(two)

    @cached(FRESH)
    def tell(settings: DashboardSettings, company_id: str) -> str:
        return str(settings.database_url and settings.database_url.get_secret_value())

    assert [tell(settings, "biz_a")[-3:] for settings in (one, two, one)] == ["one", "two", "one"]
