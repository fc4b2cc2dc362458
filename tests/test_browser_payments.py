"""Finding payments in a real browser: from a figure to one story, filters, pages, a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db import audit_log
from db.company_settings.recovery import add_companies
from db.models import Payment
from db.reporting.pagination import PAGE
from db.session import now, session_factory
from recovery.status import Action
from tests.chromium import Visit, never_scrolls_sideways
from tests.databases import empty
from tests.factories import COMPANY, HOUR, fail_now, money
from tests.test_insights_page import close

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("records")]

FORMULA = '=HYPERLINK("http://evil.example")'
FILLERS = PAGE


@pytest.fixture(scope="module")
def records(own_engine: Engine) -> Iterator[Session]:
    """More than a page holds, and among them one that was paid and two to look for."""
    with session_factory(own_engine)() as session:
        add_companies(session, {COMPANY})
        for age in range(1, FILLERS + 1):
            fail(session, f"Member {age}", age)
        fail(session, "Maya Okafor", 60, "490.00", "maya@mail.example")
        fail(session, FORMULA, 61, "19.00", "=1+1@mail.example")
        close(session, True, 6 * 24 * HOUR, user={"id": "liam", "name": "Liam Chen"})
        yield session
    empty(own_engine)


def fail(
    session: Session, name: str, age: int, amount: str = "49.00", address: str = "jo@example.com"
) -> Payment:
    """A payment that failed `age` hours ago."""
    total = {"total": money(amount), "usd_total": money(amount)}
    person = {"id": f"user_{name}", "name": name}
    return fail_now(session, now() - age * HOUR, user=person, customer_email=address, **total)


def find_id(records: Session, name: str) -> str:
    """With no transaction left open: some of these tests stop the database."""
    payment_id = records.query(Payment.payment_id).filter_by(member_name=name).scalar()
    records.rollback()
    return str(payment_id)


def find_row(page: Page, name: str):
    return page.get_by_role("row").filter(has_text=name)


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def search(page: Page, words: str) -> None:
    field = page.get_by_label("Search")
    field.fill(words)
    field.press("Enter")


def read_address(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_figure_leads_to_its_payments_and_each_to_its_story_and_back(visit: Visit) -> None:
    page = visit("/")
    page.evaluate("window.stillHere = true")
    key = page.locator(".key li", has_text="Paid after our message")
    key.get_by_role("link", name="$49.00", exact=True).click()
    page.wait_for_url("**/payments?setup=since&status=recovered&within=30+days&by=member")
    expect(page.locator(".total")).to_have_text("1 payment")
    find_row(page, "Liam Chen").get_by_role("link").click()
    page.wait_for_url("**/payments?*payment=pay_*")
    expect(page.get_by_role("heading", name="Liam Chen $49.00")).to_be_visible()
    expect(page.locator(".summary")).to_contain_text("Paid on")
    page.get_by_role("link", name="← All payments").click()
    page.wait_for_url("**/payments?*by=member*")
    expect(find_row(page, "Liam Chen")).to_be_visible()
    assert page.evaluate("window.stillHere") is True


def test_a_filter_narrows_the_list_and_stands_in_the_address(visit: Visit) -> None:
    page = visit("/payments")
    choose(page, "Status", "Recovered")
    page.wait_for_url("**/payments?status=recovered")
    expect(page.locator(".total b")).to_have_text("1 payment")
    again = visit("/payments?status=recovered")
    expect(again.locator(".total b")).to_have_text("1 payment")
    expect(again.get_by_role("combobox", name="Status")).to_have_value("Recovered")
    choose(again, "Status", "All")
    again.wait_for_url(re.compile("/payments$"))
    expect(again.locator(".total b")).to_have_text(f"{FILLERS + 3} payments")


def test_it_finds_by_member_by_e_mail_and_by_payment(visit: Visit, records: Session) -> None:
    page = visit("/payments")
    for words in ("maya o", "MAYA@mail", find_id(records, "Maya Okafor")):
        search(page, "nobody of this name")
        expect(page.get_by_text("No matches.")).to_be_visible()
        search(page, words)
        expect(find_row(page, "Maya Okafor")).to_be_visible()
        assert read_address(page) == {"q": [words]}


def test_it_turns_a_page_and_turns_it_back(visit: Visit) -> None:
    page = visit("/payments")
    expect(page.get_by_role("link", name="Previous page")).to_have_count(0)
    page.get_by_role("link", name="Next page").click()
    expect(find_row(page, "Liam Chen")).to_be_visible()
    assert page.locator("table.payments tbody tr").count() == 3
    assert list(read_address(page)) == ["after"]
    expect(page.get_by_role("link", name="Next page")).to_have_count(0)
    page.get_by_role("link", name="Previous page").click()
    expect(find_row(page, "Liam Chen")).to_have_count(0)
    assert page.locator("table.payments tbody tr").count() == PAGE
    page.go_back()
    expect(find_row(page, "Liam Chen")).to_be_visible()


def test_it_sorts_by_worth(visit: Visit) -> None:
    page = visit("/payments")
    first = page.locator("table.payments tbody tr").first
    expect(first).to_contain_text("Member 1")
    choose(page, "Sort", "Largest first")
    page.wait_for_url("**/payments?sort=largest")
    expect(first).to_contain_text("Maya Okafor")


def test_what_is_listed_is_downloaded_and_no_cell_is_a_formula(visit: Visit) -> None:
    page = visit("/payments?most=20")
    expect(page.locator(".total b")).to_have_text("1 payment")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "payments.csv"
    text = Path(download.value.path()).read_text("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["Member"], row["Email"]) == (f"'{FORMULA}", "'=1+1@mail.example")
    assert (row["Amount"], row["Currency"], row["Status"]) == ("19.00", "USD", "Retry scheduled")


def test_a_refresh_keeps_filter_place_and_what_is_being_typed(
    visit: Visit, records: Session
) -> None:
    page = visit("/payments?q=member&within=7+days", height=500)
    expect(page.locator(".total b")).to_have_text(f"{FILLERS} payments")
    page.evaluate("window.stillHere = true")
    page.get_by_label("Search").fill("somebody else")  # and not Enter
    main = page.get_by_test_id("stMain")
    main.evaluate("e => e.scrollTo(0, 300)")
    fresh = fail(records, "Member of last week", 100)
    expect(page.locator(".total b")).to_have_text(f"{FILLERS + 1} payments")
    assert main.evaluate("e => e.scrollTop") == 300
    assert page.evaluate("window.stillHere") is True
    assert read_address(page) == {"q": ["member"], "within": ["7 days"]}
    expect(page.get_by_label("Search")).to_have_value("somebody else")
    records.delete(fresh)
    records.commit()


def test_a_refresh_keeps_the_payment_its_question_and_its_preview(
    visit: Visit, records: Session
) -> None:
    payment_id = find_id(records, "Maya Okafor")
    page = visit(f"/payments?payment={payment_id}", height=500)
    page.get_by_text("Preview email").click()
    context = page.frame_locator("iframe").get_by_text("Hi Maya")
    expect(context).to_be_visible()
    page.get_by_role("button", name="Stop recovery").click()
    question = page.get_by_text("Stop recovery of this payment for good?")
    expect(question).to_be_visible()
    main = page.get_by_test_id("stMain")
    main.evaluate("e => e.scrollTo(0, 200)")
    audit_log.record(records, COMPANY, "somebody", Action.STOP, now(), payment_id=payment_id)
    records.commit()
    expect(page.locator(".audit-log")).to_contain_text("Stopped recovery · somebody")
    expect(question).to_be_visible()
    expect(context).to_be_visible()
    assert main.evaluate("e => e.scrollTop") == 200
    assert read_address(page) == {"payment": [payment_id]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_list_and_story_fit_a_phone(visit: Visit, records: Session, scheme: str) -> None:
    page = visit("/payments", 390, scheme=scheme)
    never_scrolls_sideways(page)
    page = visit(f"/payments?payment={find_id(records, FORMULA)}", 390, scheme=scheme)
    page.get_by_text("Preview email").click()
    expect(page.locator("iframe")).to_be_visible()
    never_scrolls_sideways(page)
