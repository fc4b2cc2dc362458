"""The insights and the health page in a real browser: clicks, files, a phone, night, an outage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.company_settings.recovery import add_companies
from db.models import AuditEntry, WebhookEvent
from db.session import now, session_factory
from tests.chromium import (
    Visit,
)
from tests.databases import empty
from tests.factories import COMPANY
from tests.test_insights_page import close

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("records")]


@pytest.fixture(scope="module")
def records(own_engine: Engine) -> Iterator[Session]:
    """Thirty payments whose five days are over, of two reasons and cards, and one poison event."""
    with session_factory(own_engine)() as session:
        add_companies(session, {COMPANY})
        for number in range(30):
            code = "expired_card" if number % 3 == 0 else "insufficient_funds"
            card = {"card": {"brand": "visa" if number % 2 else "mastercard", "last4": "4242"}}
            age = timedelta(days=6 + number, hours=number)
            close(session, number % 4 == 0, age, decline_code=code, payment_instrument=card)
        session.add(
            WebhookEvent(
                event_id="msg_1",
                type="payment.failed",
                company_id=COMPANY,
                payload={},
                received_at=now(),
                error="no amount",
            )
        )
        session.commit()
        yield session
    empty(own_engine)


def click_row(page: Page, panel: str, row: int) -> None:
    """The wide, last layer of a bar: what has not come back."""
    bars = page.locator(f".st-key-panel-{panel} .barlayer .trace").nth(3).locator("path")
    bars.nth(row).dispatch_event("mouseover")
    box = bars.nth(row).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()


def test_a_click_on_a_bar_narrows_the_other_charts_and_stands_in_the_address(
    visit: Visit,
) -> None:
    page = visit("/insights")
    expect(page.locator(".lead")).to_contain_text(": 30 failed payments")
    click_row(page, "reasons", 1)
    page.wait_for_url("**/insights?*class=card*")
    expect(page.locator(".lead")).to_contain_text(": 10 failed payments")
    expect(page.get_by_text("✓ Card problem")).to_be_visible()
    again = visit(urlsplit(page.url).path + "?" + urlsplit(page.url).query)
    expect(again.locator(".lead")).to_contain_text(": 10 failed payments")
    page.get_by_role("button", name="Reason: Card problem").click()
    expect(page.locator(".lead")).to_contain_text(": 30 failed payments")
    expect(page).not_to_have_url(re.compile("class="))


def test_a_second_click_takes_the_choice_back(visit: Visit) -> None:
    page = visit("/insights?class=card")
    expect(page.locator(".lead")).to_contain_text(": 10 failed payments")
    click_row(page, "reasons", 1)
    expect(page.locator(".lead")).to_contain_text(": 30 failed payments")


def test_a_chart_is_downloaded_as_csv_and_as_a_picture(visit: Visit, tmp_path: Path) -> None:
    page = visit("/insights")
    panel = page.locator(".st-key-panel-reasons")
    with page.expect_download() as download:
        panel.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "reasons.csv"
    rows = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert rows[0].startswith("Reason,With a final result,Recovered,")
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["Insufficient funds", "20"],
        ["Card problem", "10"],
    ]
    with page.expect_download() as picture:
        panel.locator("[data-title*=ownload]").first.click()
    assert picture.value.suggested_filename == "reasons.png"
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")


def test_a_replay_asked_for_stands_in_the_audit_list(visit: Visit, records: Session) -> None:
    page = visit("/health")
    expect(page.get_by_text("no amount")).to_be_visible()
    page.get_by_role("button", name="Replay 1 event").click()
    expect(page.get_by_text("Replay requested")).to_be_visible()
    records.rollback()
    assert records.scalars(select(AuditEntry.action)).all() == ["replay_events"]
