"""The database goes and comes back while every page is open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.session import now, session_factory
from tests import album
from tests.chromium import Visit, wait_for_page
from tests.databases import Postgres, empty

pytestmark = pytest.mark.browser

# Messages and Settings, with what is being typed there, are in test_browser_messages.py.
PATHS = ("/", "/payments", f"/payments?payment={album.TOLD}", "/insights", "/health")
FIGURES = (
    "[data-testid=stMetric], table.payments, ol.timeline, [data-testid=stPlotlyChart], .checks"
)


@pytest.fixture
def records(own_engine: Engine) -> Iterator[Session]:
    with session_factory(own_engine)() as session:
        album.fill(session, now())
        yield session
    empty(own_engine)


def test_every_page_says_that_the_database_is_away_and_comes_back_by_itself(
    visit: Visit, database: Postgres, records: Session
) -> None:
    pages: dict[str, Page] = {path: visit(path) for path in PATHS}
    for page in pages.values():
        page.evaluate("window.stillHere = true")
    records.rollback()
    records.get_bind().engine.dispose()
    database.stop()
    try:
        for page in pages.values():
            expect(page.get_by_text("The database does not answer")).to_be_visible()
            expect(page.locator(FIGURES)).to_have_count(0)
    finally:
        database.start()
    for path, page in pages.items():
        wait_for_page(page, path)
        expect(page.get_by_text("The database does not answer")).to_have_count(0)
        assert page.evaluate("window.stillHere") is True
