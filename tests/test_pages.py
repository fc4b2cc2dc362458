"""The payments page, without a browser: what its address asks for, says and does."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element

from dashboard.data.payments import Query, export
from dashboard.settings import DashboardSettings
from dashboard.text.payment_csv import list_rows
from dashboard.ui.links import address
from dashboard.views.payments.filters import DEFAULTS, read_query, store_filters
from db.company_settings import recovery as companies
from db.models import AuditEntry, Payment, Request
from db.reporting.pagination import PAGE, Order
from db.reporting.search import Filters, StatusFilter
from db.session import now as read_clock
from recovery.declines import DeclineClass
from recovery.status import Action, AttemptOutcome, PaymentStatus, RequestKind
from recovery.wording import Period
from tests.album import make_try
from tests.factories import COMPANY, HOUR, fail_now, valued
from tests.pages import fresh as fresh

ANOTHER = "biz_another"
HOSTILE = "<script>alert(1)</script> **x** $a$ [x](http://evil.example)"

PAGE_SCRIPT = """
from dashboard.settings import DashboardSettings
from dashboard.views.payments import page as payments
from db.settings import load_settings

payments.show(load_settings(DashboardSettings))
"""


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Callable[..., AppTest]:
    def open_page(query: dict[str, str] | None = None, **environment: str) -> AppTest:
        given = {"DATABASE_URL": database_url, "WHOP_COMPANY_ID": COMPANY} | environment
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        page = AppTest.from_string(PAGE_SCRIPT, default_timeout=30)
        for name, value in (query or {}).items():
            page.query_params[name] = value
        return page.run()

    return open_page


def read_words(page: AppTest) -> str:
    assert not page.exception
    texts = [block.proto.body for block in page.get("html")]
    kinds = ("title", "header", "error", "warning", "info")
    found = [one for kind in kinds for one in page.get(kind) if isinstance(one, Element)]
    return "\n".join(texts + [str(one.value) for one in found])


def add_theirs(session: Session) -> Payment:
    """A payment of another company."""
    companies.add_companies(session, {ANOTHER})
    theirs = fail_now(session, read_clock(), user={"id": "u", "name": "Not Yours"})
    theirs.company_id, theirs.product = ANOTHER, "Their Product"
    session.add(theirs)
    session.commit()
    return theirs


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [button for button in page.button if button.label == label]
    return button.click().run()


def is_disabled(page: AppTest, label: str) -> bool:
    return next(button.disabled for button in page.button if button.label == label)


# --- the list ----------------------------------------------------------------------------------


def test_it_lists_payments_and_says_how_many(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": "Maya Okafor"})
    words = read_words(open_page())
    assert "<b>1 payment</b></p>" in words
    assert "Maya Okafor" in words
    assert "We retry on " in words


def test_it_filters_by_what_the_address_says_and_shows_that_in_its_widgets(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    for name in ("Maya Okafor", "Liam Chen"):
        fail_now(session, read_clock(), user={"id": name, "name": name})
    page = open_page({"q": "maya", "status": "unpaid", "within": "7 days", "least": "10"})
    words = read_words(page)
    assert "Maya Okafor" in words
    assert "Liam Chen" not in words
    assert page.text_input(key="find-q").value == "maya"
    assert page.selectbox(key="find-status").value == "unpaid"
    assert page.selectbox(key="find-within").value == "7 days"
    assert page.number_input(key="find-least").value == 10.0


def test_a_changed_filter_stands_in_the_address_and_begins_at_the_first_page(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": "Maya Okafor"})
    page = open_page({"after": "2030-01-01T00:00:00+00:00~9", "sort": "newest"})
    page.selectbox(key="find-status").select("recovered").run()
    assert page.query_params == {"status": "recovered"}
    assert "No matches." in read_words(page)
    page.text_input(key="find-q").input("x & y").run()
    assert page.query_params == {"status": "recovered", "q": "x & y"}


def test_it_shows_a_page_at_a_time(open_page: Callable[..., AppTest], session: Session) -> None:
    at = read_clock()
    for age in range(PAGE + 1):
        moment = (at - age * HOUR).isoformat()
        person = {"id": f"u{age}", "name": f"Member {age}!"}
        fail_now(session, at, last_payment_attempt_at=moment, user=person)
    page = open_page()
    words = read_words(page)
    assert "Member 49!" in words
    assert "Member 50!" not in words
    assert "Next page" in words
    assert "Previous page" not in words


@pytest.mark.parametrize("name", ["status", "class", "within", "by", "least", "sort", "after"])
def test_it_shows_everything_for_an_address_that_makes_no_sense(
    open_page: Callable[..., AppTest], session: Session, name: str
) -> None:
    fail_now(session, read_clock())
    assert "<b>1 payment</b>" in read_words(open_page({name: "<b>nonsense"}))


def test_it_says_that_nothing_has_failed_yet(open_page: Callable[..., AppTest]) -> None:
    assert "No failed payments yet." in read_words(open_page())


def test_it_says_that_the_database_is_away(open_page: Callable[..., AppTest]) -> None:
    page = open_page(DATABASE_URL="postgresql://nobody@/nothing?host=/nowhere")
    assert "does not answer" in page.error[0].value


def test_no_word_of_a_member_is_read_as_markup(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    person = {"id": "u", "name": HOSTILE}
    payment = fail_now(session, read_clock(), user=person)
    for query in ({}, {"payment": payment.payment_id}, {"q": HOSTILE, "product": HOSTILE}):
        words = read_words(open_page(query))
        assert "<script" not in words


# --- one company -------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"q": "not"}, {"status": "unpaid"}])
def test_no_filter_shows_a_payment_of_another_company(
    open_page: Callable[..., AppTest], session: Session, query: dict[str, str]
) -> None:
    fail_now(session, read_clock(), user={"id": "u", "name": "Notable"})
    add_theirs(session)
    page = open_page(query)
    words = read_words(page)
    assert "Notable" in words
    assert "Not Yours" not in words
    assert "Their Product" not in page.selectbox(key="find-product").options


def test_another_company_s_payment_is_as_unknown_as_none_at_all(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock())
    theirs = open_page({"payment": add_theirs(session).payment_id})
    nobody_s = open_page({"payment": "pay_nowhere"})
    assert read_words(theirs) == read_words(nobody_s)
    assert "This payment does not exist." in read_words(theirs)
    assert not theirs.button


def test_an_export_holds_nothing_of_another_company(database_url: str, session: Session) -> None:
    add_theirs(session)
    ours = fail_now(session, read_clock(), user={"id": "u", "name": "=cmd()"})
    settings = DashboardSettings(database_url=SecretStr(database_url))
    text = export(settings, COMPANY, Query(Filters()), list_rows).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["Payment"], row["Member"]) == (ours.payment_id, "'=cmd()")
    assert (row["Amount"], row["Currency"]) == ("49.00", "USD")


# --- the story ---------------------------------------------------------------------------------


def test_it_tells_how_a_payment_stands_and_what_comes_next(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    payment = fail_now(session, read_clock(), user={"id": "u", "name": "Maya Okafor"})
    words = read_words(open_page({"payment": payment.payment_id, "status": "unpaid"}))
    assert "We retry on " in words
    assert (
        "Insufficient funds: the balance or a limit was too low today; a later retry often works."
        in words
    )
    assert "Deadline: Whop cancels the membership" in words
    assert 'href="payments?status=unpaid"' in words  # the way back keeps the filter


@pytest.mark.parametrize(
    ("label", "confirm", "kind", "action", "words"),
    [
        (
            "Retry now",
            "Yes, charge it now",
            RequestKind.RETRY_NOW,
            Action.RETRY,
            "Requested a retry",
        ),
        ("Stop recovery", "Yes, stop it", RequestKind.STOP, Action.STOP, "Stopped recovery"),
    ],
)
def test_it_asks_the_daemon_once_confirmed_and_keeps_who_did(
    open_page: Callable[..., AppTest],
    session: Session,
    label: str,
    confirm: str,
    kind: RequestKind,
    action: Action,
    words: str,
) -> None:
    payment = fail_now(session, read_clock())
    page = press(open_page({"payment": payment.payment_id}), label)
    assert session.scalars(select(Request)).all() == []
    page = press(page, confirm)
    (request,) = session.scalars(select(Request))
    (entry,) = session.scalars(select(AuditEntry))
    assert (request.payment_id, request.kind) == (payment.payment_id, kind)
    assert (request.requested_by, request.company_id) == ("dashboard", COMPANY)
    assert (entry.action, entry.payment_id, entry.actor) == (
        action,
        payment.payment_id,
        "dashboard",
    )
    assert f"{words} · you" in read_words(page)
    assert "view payment" not in read_words(page)
    assert label not in [button.label for button in page.button]
    assert {
        RequestKind.RETRY_NOW: "Charging within a minute",
        RequestKind.STOP: "Stopping",
    }[kind] in read_words(page)
    assert "takes effect within a minute" in read_words(page)


def test_it_does_nothing_when_the_reader_thinks_better_of_it(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    payment = fail_now(session, read_clock())
    page = press(press(open_page({"payment": payment.payment_id}), "Stop recovery"), "No, leave it")
    assert [button.label for button in page.button] == ["Retry now", "Stop recovery"]
    assert session.scalars(select(Request)).all() == []


def test_it_says_why_a_retry_cannot_help(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    payment = fail_now(session, read_clock(), decline_code="stolen_card")
    page = open_page({"payment": payment.payment_id})
    assert [button.label for button in page.button] == ["Stop recovery"]
    assert "We do not retry: it must not be charged again." in read_words(page)


def test_it_has_nothing_to_do_for_a_payment_that_is_paid(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    payment = fail_now(session, read_clock())
    payment.status, payment.next_retry_at = PaymentStatus.RECOVERED, None
    payment.recovered_at = read_clock()
    session.add(valued(payment))
    session.commit()
    page = open_page({"payment": payment.payment_id})
    assert not page.button
    words = read_words(page)
    assert ": would have come anyway." in words
    assert "<span>Paid" in words
    session.add(make_try(payment, read_clock(), AttemptOutcome.PAID))
    session.commit()
    told = read_words(page.run())
    assert "<span>Our retry: paid" in told
    assert "<span>Paid" not in told  # once is enough


def test_it_previews_the_mail_away_from_the_page_s_own_address(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    payment = fail_now(session, read_clock())
    page = open_page({"payment": payment.payment_id})
    assert not page.get("iframe")
    page.toggle(key="preview").set_value(True).run()
    words = read_words(page)
    assert "Your payment for your membership didn&#39;t go through" in words
    assert "In the real message it opens the member&#39;s own." in words
    assert page.get("iframe")[0].proto.src.startswith("data:text/html")


# --- the address -------------------------------------------------------------------------------


def test_every_filter_can_stand_in_the_address() -> None:
    query = read_query(
        {
            "status": "recovered",
            "within": "this month",
            "class": "funds",
            "product": "Gold",
            "by": "retry",
            "least": "1.50",
            "most": "20",
            "q": " maya ",
            "sort": "largest",
            "after": "x",
        }
    )
    assert query.filters.which is StatusFilter.RECOVERED
    assert query.filters.decline_class is DeclineClass.FUNDS
    assert (query.filters.least, query.filters.most) == (Decimal("1.50"), Decimal(20))
    assert (query.filters.product, query.filters.words) == ("Gold", "maya")
    assert (query.within, query.order, query.after) == (Period.THIS_MONTH, Order.LARGEST, "x")


@given(some.dictionaries(some.sampled_from([*DEFAULTS, "class", "least", "by"]), some.text()))
def test_no_address_breaks_the_filters(typed: dict[str, str]) -> None:
    assert isinstance(read_query(typed), Query)


def test_a_link_keeps_what_narrows_and_nothing_else() -> None:
    typed = {"status": "all", "q": "x&y", "after": "3~4", "payment": "pay_1", "within": "7 days"}
    kept = store_filters(typed)
    assert kept == {"q": "x&y", "within": "7 days"}
    assert address("payments", kept) == "payments?within=7+days&q=x%26y"
    assert address("payments", {"q": ""}) == "payments"
    assert address("overview") == "."
