"""What a creator sees first, in a real browser: Chromium, Streamlit's server, Postgres."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session

from db.session import now
from tests.chromium import (
    READY,
    SCRIPT,
    Visit,
    never_scrolls_sideways,
    run_dashboard,
)
from tests.databases import Postgres
from tests.factories import fail_now

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("records")]


def read_figure(page: Page, label: str) -> str:
    card = page.get_by_test_id("stMetric").filter(has_text=label)
    return card.get_by_test_id("stMetricValue").inner_text()


@pytest.mark.parametrize("width", [1440, 390])
def test_it_shows_header_cards_chart_and_table(visit: Visit, width: int) -> None:
    page = visit(width=width)
    heading = page.get_by_role("heading", name="💰 Revenue Recovery Dashboard")
    expect(heading).to_be_visible()
    for label in ("$ Recovered This Month", "Recovery Rate %", "Total Failed Payments"):
        expect(page.get_by_test_id("stMetric").filter(has_text=label)).to_be_visible()
    expect(page.locator(".js-plotly-plot .barlayer")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="Maya Okafor")
    for words in ("$49.00", "Insufficient funds", "Retry ", "0"):
        expect(row).to_contain_text(words)
    for name in ("Member", "Amount", "Reason", "Status", "Retries"):
        expect(page.get_by_role("columnheader", name=name)).to_be_attached()


def test_it_never_scrolls_sideways_on_a_phone(visit: Visit, records: Session) -> None:
    fail_now(
        records,
        now(),
        user={"id": "u2", "name": "A" * 120},
        total={"amount": "123456789012.00", "currency": "usd"},
        usd_total={"amount": "123456789012.00", "currency": "usd"},
        decline_code=None,
        failure_message="W" * 120,
    )
    page = visit(width=390)
    expect(page.get_by_role("row").filter(has_text="AAAA")).to_be_visible()
    expect(page.locator(".js-plotly-plot .barlayer")).to_be_visible()
    never_scrolls_sideways(page)


def test_it_shows_a_new_payment_by_itself_without_moving_the_page(
    visit: Visit, records: Session
) -> None:
    page = visit(height=500)
    main = page.get_by_test_id("stMain")
    expect(page.locator(".js-plotly-plot .barlayer")).to_be_visible()
    page.evaluate("window.stillHere = true")
    main.evaluate("e => e.scrollTo(0, 300)")
    seen = page.locator(".fresh b").inner_text()
    fail_now(records, now(), user={"id": "u2", "name": "Liam Chen"})
    row = page.get_by_role("row").filter(has_text="Liam Chen")
    expect(row).to_be_visible()
    assert read_figure(page, "Total Failed Payments") == "2"
    assert page.locator(".fresh b").inner_text() != seen
    assert page.evaluate("window.stillHere") is True
    assert main.evaluate("e => e.scrollTop") == 300


def test_it_keeps_the_reader_s_zoom_through_refreshes_and_new_data(
    visit: Visit, records: Session
) -> None:
    page = visit(height=1400)
    chart = page.locator(".nsewdrag")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + 150, steps=5)
    page.mouse.up()
    whole = page.get_by_role("button", name="Show all")
    expect(whole).to_be_visible()
    read = "document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range.join()"
    zoomed = page.evaluate(read)
    fail_now(records, now(), user={"id": "u2", "name": "Liam Chen"})
    expect(page.get_by_text("Liam Chen")).to_be_visible()
    expect(page.locator(".key")).to_contain_text("Failed $98.00")
    assert page.evaluate(read) == zoomed
    whole.click()
    expect(whole).to_have_count(0)
    page.wait_for_function(f"zoomed => {read} !== zoomed", arg=zoomed)


def test_it_keeps_the_period_in_the_address(visit: Visit) -> None:
    page = visit()
    page.get_by_text("6 months").click()
    page.wait_for_url("**/?period=6+months")
    again = visit("/?period=6+months")
    chosen = again.get_by_role("radio", name="6 months")
    expect(chosen).to_be_checked()


def test_it_shows_hostile_words_as_they_were_typed(visit: Visit, records: Session) -> None:
    name = "<script>window.taken=1</script>**x** $a$ [x](http://evil.example)"
    reason = "<img src=x onerror='window.taken=1'> no"
    fail_now(
        records,
        now(),
        user={"id": "u2", "name": name},
        decline_code=None,
        failure_message=reason,
    )
    page = visit()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_be_visible()
    expect(row).to_contain_text("onerror='window.taken=1'", ignore_case=True)
    assert row.locator("strong, img, .katex").count() == 0
    assert row.get_by_role("link").evaluate_all("links => links.map(link => link.host)") == [
        page.evaluate("location.host")  # to its story, and nowhere else
    ]
    assert page.evaluate("window.taken") is None


def test_it_also_runs_as_streamlit_s_own_command(browser: Browser, database: Postgres) -> None:
    with run_dashboard(database, SCRIPT) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator(READY["/"])).to_be_visible()
        page.close()
