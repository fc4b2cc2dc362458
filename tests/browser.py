"""The dashboard in a real browser: its fixtures, there for every test (conftest.py).

What they are made of is in chromium.py, which loads Playwright: only who asks for one loads it. A
file that needs more than one failed payment has `records` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from tests.chromium import Visit
    from tests.databases import Postgres


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    """A server of its own: these tests stop it."""
    from tests.databases import running

    with running() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def own_engine(database: Postgres) -> Iterator[Engine]:
    from db import migrate
    from db.session import connect

    engine = connect(database.server.url, "tests")
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def records(own_engine: Engine) -> Iterator[Session]:
    """One failed payment, and a daemon that ran just now."""
    from tests.chromium import record_one_failure

    with record_one_failure(own_engine) as session:
        yield session


@pytest.fixture(scope="module")
def dashboard(database: Postgres, own_engine: Engine) -> Iterator[str]:
    """One for each file: what it keeps of the figures for minutes is that file's alone."""
    from tests.chromium import run_dashboard

    with run_dashboard(database) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole run: while Playwright is there, no other test can have an event loop."""
    from tests.chromium import launch

    with launch() as browser:
        yield browser


@pytest.fixture(scope="module")
def refresh_ms() -> int:
    """How often pages refresh themselves here. Readers' do every ten seconds; a test that waits for
    it need not wait as long."""
    return 2_000


@pytest.fixture(scope="module")
def tab(browser: Browser, refresh_ms: int) -> Iterator[Page]:
    """Kept for a whole file: in a new one Streamlit's scripts are compiled again, which takes as
    long as all else that a visit needs."""
    from tests.chromium import open_tab

    page = open_tab(browser, refresh_ms)
    yield page
    page.close()


@pytest.fixture
def visit(browser: Browser, tab: Page, dashboard: str, refresh_ms: int) -> Iterator[Visit]:
    """Opens a page, and at the end proves that it asked no other machine and met no error."""
    from tests.chromium import open_tab, visiting

    with visiting(tab, dashboard, lambda: open_tab(browser, refresh_ms)) as visit:
        yield visit
