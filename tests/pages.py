"""What every test of a page without a browser needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit.components.v2 import manifest_scanner

from dashboard.data import database
from db.session import connect as db_connect

# AppTest looks through every installed package for each page that it draws, for a component.
scan_once = cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No cache from the test before, no `.env` of a developer's, pytest's own logging kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", scan_once)
    monkeypatch.setattr(database, "configure_logging", lambda level, style: None)
    engines: list[Engine] = []

    def connect(*arguments: Any, **options: Any) -> Engine:
        engines.append(db_connect(*arguments, **options))
        return engines[-1]

    monkeypatch.setattr(database, "connect", connect)
    yield
    st.cache_data.clear()
    st.cache_resource.clear()
    for engine in engines:
        engine.dispose()
