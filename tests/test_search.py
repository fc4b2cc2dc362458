"""Finding payments: what each filter keeps, pages that fit together, and nobody else's rows."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from dashboard.data.csv_export import to_csv
from db import audit_log
from db.company_settings import recovery as companies
from db.models import Payment
from db.reporting import search, trends
from db.reporting.pagination import Cursor, Order, make_cursor, read_cursor
from db.reporting.search import Filters, StatusFilter, count_matches, find_page
from recovery.declines import DeclineClass
from recovery.status import (
    Action,
    ClosedReason,
    PaymentStatus,
    RecoveredBy,
)
from tests.factories import COMPANY, HOUR, NOW, add_payment, failing_at, valued
from tests.raw_figures import list_days
from whop.values import LONGEST_TEXT

ANOTHER = "biz_another"


def add(session: Session, name: str, age: int = 0, **columns: object) -> Payment:
    """A payment that failed `age` hours ago, with these columns."""
    person = {"id": f"user_{name}", "name": name, "username": name}
    payment = add_payment(session, user=person, **failing_at(NOW - age * HOUR))
    for column, value in columns.items():
        setattr(payment, column, value)
    session.add(valued(payment))
    session.commit()
    return payment


def find(session: Session, filters: Filters, company: str = COMPANY) -> set[str | None]:
    found = find_page(session, company, filters).payments
    assert count_matches(session, company, filters) == len(found)
    return {payment.member_name for payment in found}


PAID = {
    "status": PaymentStatus.RECOVERED,
    "next_retry_at": None,
    "recovered_by": RecoveredBy.RETRY,
    "recovered_at": NOW,
}
GIVEN_UP = {
    "status": PaymentStatus.PERMANENT_FAIL,
    "next_retry_at": None,
    "closed_reason": ClosedReason.RETRIES_USED,
}
WAITING = {"status": PaymentStatus.FAILED, "next_retry_at": None}


@pytest.fixture
def cast(session: Session) -> Session:
    add(session, "Planned")
    add(session, "Waiting", 24, **WAITING)
    add(session, "Wrong", 2, **WAITING, decline_class=DeclineClass.AMOUNT)
    add(session, "Paid", 240, **PAID, amount_usd=Decimal(500), product="Gold")
    add(session, "Lost", 480, **GIVEN_UP, amount_usd=None, decline_class=DeclineClass.CARD)
    return session


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (Filters(), {"Planned", "Waiting", "Wrong", "Paid", "Lost"}),
        (Filters(StatusFilter.UNPAID), {"Planned", "Waiting", "Wrong"}),
        (Filters(StatusFilter.NEEDS_YOU), {"Wrong"}),
        (Filters(StatusFilter.PENDING_RETRY), {"Planned"}),
        (Filters(StatusFilter.FAILED), {"Waiting", "Wrong"}),
        (Filters(StatusFilter.RECOVERED), {"Paid"}),
        (Filters(StatusFilter.PERMANENT_FAIL), {"Lost"}),
        (Filters(decline_class=DeclineClass.CARD), {"Lost"}),
        (Filters(since=NOW - 25 * HOUR), {"Planned", "Waiting", "Wrong"}),
        (Filters(StatusFilter.RECOVERED, since=NOW - HOUR), {"Paid"}),
        (Filters(StatusFilter.RECOVERED, since=NOW + HOUR), set()),
        (Filters(least=Decimal("49.01")), {"Paid"}),
        (Filters(most=Decimal(49)), {"Planned", "Waiting", "Wrong"}),
        (Filters(product="Gold"), {"Paid"}),
        (Filters(recovered_by=RecoveredBy.RETRY), {"Paid"}),
        (Filters(recovered_by=RecoveredBy.MEMBER), set()),
        (Filters(words=" pla"), {"Planned"}),
        (Filters(words="JO@EXAMPLE"), {"Planned", "Waiting", "Wrong", "Paid", "Lost"}),
        (Filters(StatusFilter.UNPAID, decline_class=DeclineClass.AMOUNT, words="wr"), {"Wrong"}),
        (Filters(words="lanned"), set()),
        (Filters(words="%"), set()),
        (Filters(words="_lanned"), set()),
        (Filters(words="\\"), set()),
        (Filters(words="'; drop table payments; --"), set()),
    ],
)
def test_it_finds_what_the_filters_ask_for(
    cast: Session, filters: Filters, names: set[str]
) -> None:
    assert find(cast, filters) == names


def test_it_finds_a_payment_by_its_whole_id(cast: Session) -> None:
    payment = add(cast, "Wanted")
    assert find(cast, Filters(words=f" {payment.payment_id} ")) == {"Wanted"}
    assert find(cast, Filters(words=payment.payment_id[:-1])) == set()


def test_it_finds_names_of_all_alphabets(session: Session) -> None:
    for name in ("Änne", "Øyvind", "Игорь"):
        add(session, name)
        assert find(session, Filters(words=name[:2])) == {name}


def test_it_finds_nothing_of_another_company(cast: Session) -> None:
    companies.add_companies(cast, {ANOTHER})
    theirs = add(cast, "Theirs", company_id=ANOTHER, product="Secret")
    for filters in (Filters(), Filters(words="theirs"), Filters(words=theirs.payment_id)):
        assert "Theirs" not in find(cast, filters)
    assert find(cast, Filters(), ANOTHER) == {"Theirs"}
    assert search.list_products(cast, COMPANY) == ["Gold"]
    exported = search.list_all(cast, COMPANY, Filters(), Order.NEWEST)
    assert "Theirs" not in {payment.member_name for payment in exported}


@pytest.mark.parametrize("order", Order)
def test_its_pages_hold_every_payment_once_there_and_back(session: Session, order: Order) -> None:
    for number in range(7):
        # Two of each moment and amount: the id tells them apart.
        amount = None if number == 0 else Decimal(number // 2)
        add(session, f"{number}", number // 2, amount_usd=amount)
    pages, after = [], None
    for _ in range(4):
        page = find_page(session, COMPANY, Filters(), order, after=after, limit=2)
        pages.append(page)
        after = page.after
    assert after is None
    forth = [[payment.id for payment in page.payments] for page in pages]
    assert [len(ids) for ids in forth] == [2, 2, 2, 1]
    assert len({number for ids in forth for number in ids}) == 7
    back, before = [forth[-1]], pages[-1].before
    while before is not None:
        page = find_page(session, COMPANY, Filters(), order, before=before, limit=2)
        assert page.after is not None
        back.append([payment.id for payment in page.payments])
        before = page.before
    assert back[::-1] == forth


def test_it_sorts_by_time_or_by_worth(cast: Session) -> None:
    newest = find_page(cast, COMPANY, Filters(), Order.NEWEST).payments
    largest = find_page(cast, COMPANY, Filters(), Order.LARGEST).payments
    assert [p.member_name for p in newest] == ["Planned", "Wrong", "Waiting", "Paid", "Lost"]
    assert [largest[0].member_name, largest[-1].member_name] == ["Paid", "Lost"]


@pytest.mark.parametrize("order", Order)
def test_a_mark_survives_the_address(session: Session, order: Order) -> None:
    mark = make_cursor(add(session, "Somebody"), order)
    assert read_cursor(str(mark), order) == mark


@given(some.text(), some.sampled_from(Order))
def test_a_mark_that_makes_no_sense_is_none(text: str, order: Order) -> None:
    assert isinstance(read_cursor(text, order), Cursor | None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "NaN~1",
        "2026-01-01T00:00:00~1",
        "1~x",
        "1E+999999~1",
        "1E-999999~1",
        "0E-999999~1",
        "1~-1",
        f"1~{2**63}",
    ],
)
@pytest.mark.parametrize("order", Order)
def test_a_mark_needs_a_whole_place(text: str, order: Order) -> None:
    assert read_cursor(text, order) is None


@pytest.mark.parametrize(
    ("mark", "left"),
    [(f"{10**18}~{2**63 - 1}", 5), (f"1E-16383~{2**63 - 1}", 1), ("-0.5~0", 0)],
)
def test_the_furthest_marks_are_places_too(cast: Session, mark: str, left: int) -> None:
    after = read_cursor(mark, Order.LARGEST)
    assert after is not None
    page = find_page(cast, COMPANY, Filters(), Order.LARGEST, after=after)
    assert len(page.payments) == left


def test_it_counts_no_further_than_it_says(cast: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_COUNTED", 2)
    assert count_matches(cast, COMPANY, Filters()) == 3


# --- by index ----------------------------------------------------------------------------------

NO_OTHER_WAY = ("seqscan", "bitmapscan", "indexscan", "sort")


def explain(session: Session, filters: Filters, order: Order, forbidden: Sequence[str]) -> str:
    """How the page is found, where no other way is left; of the indexes alone, if they suffice."""
    asked: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        asked.append((arguments[2], arguments[3]))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    find_page(session, COMPANY, filters, order)
    event.remove(engine, "before_cursor_execute", note)
    ((statement, values),) = asked
    connection = session.connection()
    for way in forbidden:
        connection.exec_driver_sql(f"set local enable_{way} = off")
    rows = connection.exec_driver_sql(f"explain {statement}", values)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(StatusFilter.RECOVERED),
        Filters(StatusFilter.PERMANENT_FAIL),
        Filters(decline_class=DeclineClass.CARD),
        Filters(since=NOW - 25 * HOUR),
        Filters(least=Decimal(1), most=Decimal(2)),
        Filters(product="Gold"),
        Filters(recovered_by=RecoveredBy.MEMBER),
    ],
    ids=str,
)
@pytest.mark.parametrize("order", Order)
def test_it_looks_for_a_page_in_the_orders_index_and_nowhere_else(
    cast: Session, filters: Filters, order: Order
) -> None:
    plan = explain(cast, filters, order, NO_OTHER_WAY)
    assert f"Index Only Scan using ix_payments_{order.value} on" in plan


def test_it_looks_for_words_in_three_indexes(cast: Session) -> None:
    add_many(cast)
    plan = explain(cast, Filters(words="pla"), Order.NEWEST, ())
    for index in ("ix_payments_name", "ix_payments_email", "uq_payments_payment_id"):
        assert f"Bitmap Index Scan on {index}" in plan


def draw_letters(rng: random.Random, length: int) -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=length))


def test_the_longest_texts_that_are_kept_fit_into_every_index(session: Session) -> None:
    """A row that does not is refused, and its webhook with it."""
    rng = random.Random(5)  # what repeats itself would be stored in less
    name, product = (
        "".join(chr(rng.randrange(0x20000, 0x2A6D0)) for _ in range(LONGEST_TEXT)) for _ in range(2)
    )
    address = f"{draw_letters(rng, 64)}@{'.'.join(draw_letters(rng, 60) for _ in range(3))}.com"
    user = {"id": f"user_{'u' * 95}", "name": name}
    company = f"biz_{'c' * 96}"
    companies.add_companies(session, {company})
    payment = add_payment(
        session,
        user=user,
        customer_email=address,
        product={"title": product},
        member_id=f"mber_{'m' * 95}",
        payment_instrument={"card": {"brand": name, "last4": "4242"}},
    )
    payment.company_id, payment.held_out = company, True
    session.flush()
    for filters in (Filters(words=name), Filters(words=address), Filters(product=product)):
        assert find(session, filters, company) == {name}
    payment.imported = True
    session.flush()


def add_many(session: Session) -> None:
    """Enough of others for an index to be worth its while."""
    columns = "company_id, amount, currency, reason, decline_class, status, closed_reason"
    columns += ", failed_amount, failed_currency"
    times = "failed_at, window_ends_at, last_attempt_at, observed_at, created_at"
    session.execute(
        text(f"""
            insert into payments (payment_id, member_name, member_email, {columns}, {times})
            select 'pay_many_' || n, md5('' || n), md5('' || n), {columns}, {times}
            from payments, generate_series(1, 5000) as n where status = 'permanent_fail'
        """)
    )
    session.execute(text("analyze payments"))


# --- at risk, and the trend ----------------------------------------------------------------------


def test_it_counts_what_is_at_risk_by_the_days_that_are_left(cast: Session) -> None:
    at_risk = trends.find_at_risk(cast, COMPANY, NOW + timedelta(hours=1))
    assert (at_risk.payments, at_risk.by_days_left) == (3, (0, 0, 0, 1, 2))
    assert at_risk.nearest_end == NOW + timedelta(days=4)


def test_the_trend_looks_only_at_what_is_over(session: Session) -> None:
    for age, paid in ((1, True), (6, True), (7, False), (40, False), (90, True)):
        add(session, f"{age}", 24 * age, **PAID if paid else GIVEN_UP)
    trend = trends.find_trends(
        session,
        COMPANY,
        ZoneInfo("UTC"),
        list_days(session, COMPANY, 90, NOW),
        NOW.date() - timedelta(days=90),
        NOW,
    ).rate
    assert trend is not None
    assert (trend.last, trend.before) == (Decimal(50), Decimal(0))


# --- the audit list ----------------------------------------------------------------------------


def test_the_audit_list_is_of_one_company_and_of_one_payment(session: Session) -> None:
    companies.add_companies(session, {COMPANY, ANOTHER})
    for company, payment_id in ((COMPANY, "pay_a"), (COMPANY, "pay_b"), (ANOTHER, "pay_a")):
        audit_log.record(
            session,
            company,
            "someone",
            Action.STOP,
            NOW,
            payment_id=payment_id,
            details={"why": "x"},
        )
    session.commit()
    everything = audit_log.list_entries(session, COMPANY)
    assert [entry.payment_id for entry in everything] == ["pay_b", "pay_a"]
    (one,) = audit_log.list_entries(session, COMPANY, "pay_a")
    assert (one.company_id, one.actor, one.details) == (COMPANY, "someone", {"why": "x"})


# --- export ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_an_export_is_a_formula(mark: str) -> None:
    text = to_csv([["name"], [f"{mark}cmd()"]]).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == [f"'{mark}cmd()"]


def test_the_numbers_of_an_export_stay_numbers() -> None:
    text = to_csv([["a", "b", "c"], [Decimal("-49.00"), -3, None]]).decode("utf-8-sig")
    assert text == "a,b,c\r\n-49.00,-3,\r\n"


@given(some.lists(some.text(some.characters(codec="utf-8"), min_size=1), min_size=1))
def test_an_export_loses_no_text(cells: list[str]) -> None:
    text = to_csv([cells]).decode("utf-8-sig")
    (row,) = csv.reader(io.StringIO(text, newline=""))
    assert [cell.removeprefix("'") for cell in row] == [cell.removeprefix("'") for cell in cells]
