"""Two creators in one database, in a real browser: what reaches the one's window and files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.session import now, session_factory
from tests.chromium import PAGES, READY, Visit, run_dashboard
from tests.databases import Postgres, empty
from tests.two_companies import ANOTHER, OURS, THEIRS, fill_ours, fill_theirs

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("records")]

PARTS = ("Time", "Products+and+cards", "Messages")


@pytest.fixture(scope="module")
def records(own_engine: Engine) -> Iterator[Session]:
    with session_factory(own_engine)() as session:
        fill_ours(session, now())
        fill_theirs(session, now())
        yield session
    empty(own_engine)


def read_all(page: Page) -> str:
    """What is in the window, in its charts and in its frames, seen or not."""
    charts = "[...document.querySelectorAll('.js-plotly-plot')].map(c => JSON.stringify(c.data))"
    fields = "[...document.querySelectorAll('input, textarea')].map(field => field.value)"
    for frame in page.frames:
        frame.wait_for_load_state()
    parts = [frame.content() for frame in page.frames]
    return "\n".join([*parts, *page.evaluate(charts), *page.evaluate(fields)])


@pytest.mark.parametrize("path", [*PAGES.values(), *(f"/insights?part={part}" for part in PARTS)])
def test_no_page_shows_anything_of_another_company(visit: Visit, path: str) -> None:
    shown = read_all(visit(path))
    assert THEIRS not in shown
    assert ANOTHER not in shown
    assert re.search(r"(?<![\d.])7,777\b", shown) is None  # no part of a coordinate
    assert OURS in shown or "insights" in path  # which names nobody


@pytest.mark.parametrize(
    "query",
    [
        f"payment=pay_{ANOTHER}_0",
        f"q=pay_{ANOTHER}",
        "q=theirs",
        f"product={THEIRS}+Product",
        "least=7777&most=7778",
    ],
)
def test_no_address_finds_a_payment_of_another_company(visit: Visit, query: str) -> None:
    page = visit("/settings")
    page.goto(page.url.replace("settings", f"payments?{query}"))
    nothing = page.get_by_text("This payment does not exist.").or_(page.get_by_text("No matches."))
    expect(nothing).to_be_visible()
    assert f"{THEIRS} Member" not in read_all(page)
    assert page.locator("table.payments").count() == 0


@pytest.mark.parametrize("path", ["/payments", "/insights", "/insights?part=Products+and+cards"])
def test_no_file_holds_anything_of_another_company(visit: Visit, path: str) -> None:
    page = visit(path)
    buttons = page.get_by_role("button").filter(has_text="CSV")
    for button in buttons.all():
        with page.expect_download() as download:
            button.click()
        text = Path(download.value.path()).read_text("utf-8-sig")
        assert len(text.splitlines()) > 2
        assert THEIRS not in text
        assert ANOTHER not in text
        assert "7777.77" not in text


def test_the_other_company_sees_its_own(visit: Visit, database: Postgres) -> None:
    with run_dashboard(database, company_id=ANOTHER) as url:
        page = visit("/health")
        page.goto(f"{url}/payments")
        expect(page.locator(READY["/payments"])).to_be_visible()
        shown = read_all(page)
    assert f"{THEIRS} Member" in shown
    assert OURS not in shown
