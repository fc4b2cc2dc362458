"""Every page as it looks, kept in test-output/: wide and on a phone, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dashboard.ui.palette import DARK, LIGHT
from db.session import now, session_factory
from tests import album
from tests.chromium import LOOKS, PAGES, Visit, look, never_scrolls_sideways, take_picture
from tests.databases import empty

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("records")]

SUBJECTS = PAGES | {
    "story": f"/payments?payment={album.TOLD}",
    "insights-time": "/insights?part=Time",
    "insights-cards": "/insights?part=Products+and+cards",
    "insights-messages": "/insights?part=Messages",
}
DRAWN = """ground => [...document.querySelectorAll('.js-plotly-plot')].every(
    chart => chart._fullLayout?.paper_bgcolor?.toUpperCase() === ground)"""


@pytest.fixture(scope="module")
def records(own_engine: Engine) -> Iterator[Session]:
    with session_factory(own_engine)() as session:
        album.fill(session, now())
        yield session
    empty(own_engine)


def wait_for_charts(page: Page, scheme: str) -> None:
    """In the colours of the hour: the server draws them anew."""
    ground = (DARK if scheme == "dark" else LIGHT).page.upper()
    page.wait_for_function(DRAWN, arg=ground)


@pytest.mark.parametrize("name", SUBJECTS)
def test_it_fits_the_window_and_is_told_in_words_whatever_the_width_and_the_hour(
    visit: Visit, name: str
) -> None:
    page = visit(SUBJECTS[name])
    for scheme, width in LOOKS:
        look(page, scheme, width)
        wait_for_charts(page, scheme)
        never_scrolls_sideways(page)
        for sentence in page.locator(".sentence").all():
            assert len(sentence.inner_text()) > 20
        take_picture(page, f"{name}-{width}{'-dark' if scheme == 'dark' else ''}.png")
