"""The headlines of the overview and the digest: what they count, and what they never count."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from db.company_settings.recovery import (
    RecoverySettings,
    add_companies,
    save_recovery_settings,
)
from db.creator_notices.digest import measure_week
from db.creator_notices.weeks import Week
from db.ledger import facts, refunds, reviews
from db.models import Attempt, Payment
from db.reporting import insights, month_ends
from db.reporting.cohorts import Cohort, Dimension
from db.reporting.figures import Summary
from db.reporting.given_back import find_given_back
from db.reporting.groups import list_groups, sum_cohort
from db.reporting.lift import measure_baseline
from db.reporting.summary import summarize
from db.reporting.trends import Trends, find_at_risk, find_trends
from recovery.declines import DeclineClass
from recovery.reports import DisputeReport, RefundReport
from recovery.status import AttemptOutcome, ClosedReason, PaymentStatus, RecoveredBy, Trigger
from tests.factories import COMPANY, HOUR, HOURLY, NOW, valued
from tests.raw_figures import list_days

DAY = 24 * HOUR
BERLIN = ZoneInfo("Europe/Berlin")
LONG_AGO = date(2026, 1, 1)


numbers = count(1)


def make_payment(failed_at: datetime, **columns: Any) -> Payment:
    """One of $49, paid by our retry two hours later."""
    values: dict[str, Any] = {
        "payment_id": f"pay_{next(numbers)}",
        "company_id": COMPANY,
        "member_id": "mber_1",
        "amount": Decimal(49),
        "currency": "usd",
        "amount_usd": Decimal(49),
        "refunded_amount": Decimal(0),
        "disputed_amount": Decimal(0),
        "reason": "Insufficient funds",
        "decline_class": DeclineClass.FUNDS,
        "status": PaymentStatus.RECOVERED,
        "failed_at": failed_at,
        "window_ends_at": failed_at + 5 * DAY,
        "last_attempt_at": failed_at,
        "recovered_at": failed_at + 2 * HOUR,
        "recovered_by": RecoveredBy.RETRY,
        "observed_at": failed_at,
        "created_at": failed_at,
    }
    return valued(Payment(**values | columns))


def add(session: Session, *payments: Payment) -> None:
    add_companies(session, {COMPANY})
    session.add_all(payments)
    session.commit()


LOST = {
    "status": PaymentStatus.PERMANENT_FAIL,
    "recovered_at": None,
    "recovered_by": None,
    "closed_reason": ClosedReason.WINDOW_CLOSED,
}
UNPAID = LOST | {"status": PaymentStatus.FAILED, "closed_reason": None}


def use_zone(session: Session, zone: ZoneInfo) -> None:
    settings = RecoverySettings(time_zone=zone.key)
    save_recovery_settings(session, COMPANY, settings, "somebody", NOW)
    session.commit()


# --- which payments ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False], ids=["at first", "later"])
def test_a_test_card_is_in_no_figure(session: Session, first: bool) -> None:
    column = "first_decline_class" if first else "decline_class"
    ends: tuple[dict[str, Any], ...] = ({}, LOST, UNPAID)
    test = {column: DeclineClass.TEST}
    add(session, *(make_payment(NOW - 10 * DAY, **more | test) for more in ends))
    summary = summarize(session, COMPANY, NOW)
    assert summary.total_failed == summary.total_recovered == summary.failed == 0
    assert summary.recovered_amount == summary.this_month.total == summary.at_risk_amount == 0
    assert summary.closed.payments == find_at_risk(session, COMPANY, NOW).payments == 0
    assert not any(day.failures for day in list_days(session, COMPANY, 60, NOW))
    cohort = Cohort(COMPANY, BERLIN, None, NOW)
    assert sum_cohort(session, cohort).closed == 0
    assert measure_baseline(session, COMPANY) is None
    week = Week(date(2026, 11, 9), BERLIN)
    assert measure_week(session, COMPANY, week).is_empty


def import_at(hours: float) -> dict[str, Any]:
    """What an import so long after the failure finds."""
    return {"imported": True, "created_at": NOW - 10 * DAY + hours * HOUR}


@pytest.mark.parametrize(
    ("happened", "since_setup"),
    [
        (import_at(3), False),
        (import_at(1), True),
        (LOST | import_at(24 * 6), False),
        (LOST | import_at(24 * 3), True),
        (UNPAID | import_at(24 * 3), True),
        ({"recovered_at": NOW - DAY} | import_at(24 * 6), False),
        ({"recovered_at": NOW - DAY, "created_at": NOW - 2 * DAY}, True),
    ],
    ids=[
        "paid before the import",
        "paid after it, in its five days",
        "over before it",
        "given up before it, in its five days",
        "still open",
        "paid late, when it was over before it",
        "heard of late, and not imported",
    ],
)
def test_what_was_over_before_the_set_up_stands_beside_the_headline(
    session: Session, happened: dict[str, Any], since_setup: bool
) -> None:
    add(session, make_payment(NOW - 10 * DAY, **happened))
    summary = summarize(session, COMPANY, NOW)
    assert (summary.failed, summary.history.failed) == ((1, 0) if since_setup else (0, 1))
    assert summary.total_failed == 1
    recovered = happened.get("status") is None
    assert summary.total_recovered == recovered
    assert summary.recovered_amount == 49 * recovered
    assert summary.recovered.total == 49 * (recovered and since_setup)
    assert sum(day.failures for day in list_days(session, COMPANY, 30, NOW)) == since_setup


# --- the rate ------------------------------------------------------------------------------------


def read_rates(summary: Summary) -> tuple[Decimal, Decimal]:
    return summary.closed.rate, summary.closed.our_rate


def test_the_rate_is_by_money_over_closed_windows_net_and_says_what_of_it_is_ours(
    session: Session,
) -> None:
    old = NOW - 10 * DAY
    add(
        session,
        make_payment(old, amount_usd=Decimal(100)),
        make_payment(old, amount_usd=Decimal(60), recovered_by=RecoveredBy.WITHOUT_US),
        make_payment(old, amount_usd=Decimal(40), refunded_amount=Decimal(49)),
        make_payment(old, amount_usd=Decimal(200), **LOST),
    )
    assert read_rates(summarize(session, COMPANY, NOW)) == (Decimal("40.0"), Decimal("25.0"))
    add(
        session,
        make_payment(NOW - 2 * DAY),  # paid, and its five days are not over
        make_payment(old, amount_usd=None, **LOST),  # counted, and in no sum
        make_payment(old, **UNPAID),  # has no result yet
    )
    summary = summarize(session, COMPANY, NOW)
    assert read_rates(summary) == (Decimal("40.0"), Decimal("25.0"))
    assert (summary.closed.payments, summary.closed.recovered) == (5, 3)
    # The mission's own rate, by number and of all that failed, is another one.
    assert summary.recovery_rate == Decimal("57.1")


# --- months --------------------------------------------------------------------------------------

OCTOBER = datetime(2026, 10, 15, 12, tzinfo=UTC)


def refund(session: Session, payment: Payment, at: datetime, amount: str = "49.00") -> None:
    report = RefundReport(
        refund_id="rfnd_1",
        payment_id=payment.payment_id,
        company_id=COMPANY,
        amount=Decimal(amount),
        status="succeeded",
        observed_at=NOW,
        refunded_at=at,
    )
    refunds.record_refund(session, payment, report)
    session.commit()


def test_a_refund_of_last_months_money_is_told_this_month_and_leaves_what_was_told(
    session: Session,
) -> None:
    use_zone(session, BERLIN)
    add(session, payment := make_payment(OCTOBER))
    month_ends.record_month_end(session, COMPANY, datetime(2026, 11, 1, 0, 30, tzinfo=BERLIN))
    this_month = datetime(2026, 11, 1, tzinfo=BERLIN)
    assert find_given_back(session, COMPANY, this_month) == 0
    refund(session, payment, datetime(2026, 11, 12, tzinfo=UTC))
    assert find_given_back(session, COMPANY, this_month) == 49
    assert find_given_back(session, COMPANY, datetime(2026, 11, 13, tzinfo=UTC)) == 0
    days = list_days(session, COMPANY, 60, NOW)
    assert sum(day.recovered.total for day in days) == 0
    ended = month_ends.find_month_end(session, COMPANY, date(2026, 10, 1))
    assert ended is not None
    assert ended.recovered == ended.ours == 49
    # Recorded once: what was told is not told anew.
    month_ends.record_month_end(session, COMPANY, datetime(2026, 11, 1, 5, tzinfo=BERLIN))
    again = month_ends.find_month_end(session, COMPANY, date(2026, 10, 1))
    assert again == ended
    week = measure_week(session, COMPANY, Week(date(2026, 10, 26), BERLIN))
    assert week.month_end == ended
    assert measure_week(session, COMPANY, Week(date(2026, 11, 2), BERLIN)).month_end is None


def test_a_dispute_of_this_month_is_given_back_until_it_is_won(session: Session) -> None:
    add(session, payment := make_payment(OCTOBER))
    for status, given_back in (("needs_response", 49), ("lost", 49), ("won", 0)):
        report = DisputeReport(
            payment_id=payment.payment_id,
            company_id=COMPANY,
            status=status,
            observed_at=NOW + next(numbers) * HOUR,
            member_id=payment.member_id,
        )
        concern = facts.record_dispute(session, report, NOW, read=True)
        reviews.review_all(session, [concern], NOW, HOURLY)
        session.commit()
        assert find_given_back(session, COMPANY, NOW - DAY) == given_back, status


@pytest.mark.parametrize(
    ("zone", "at", "due"),
    [
        ("UTC", "2026-11-01T00:10+00:00", True),
        ("UTC", "2026-10-31T23:50+00:00", False),
        ("UTC", "2026-11-02T00:10+00:00", False),
        ("Pacific/Kiritimati", "2026-10-31T10:10+00:00", True),
        ("Pacific/Kiritimati", "2026-10-31T09:50+00:00", False),
        ("America/Los_Angeles", "2026-11-01T06:50+00:00", False),
        ("America/Los_Angeles", "2026-11-01T07:10+00:00", True),
    ],
)
def test_a_month_is_recorded_within_a_day_of_its_local_end(
    session: Session, zone: str, at: str, due: bool
) -> None:
    use_zone(session, ZoneInfo(zone))
    moment = datetime.fromisoformat(at)
    assert month_ends.list_unrecorded(session, moment) == [COMPANY] * due
    if due:
        month_ends.record_month_end(session, COMPANY, moment)
        assert month_ends.list_unrecorded(session, moment) == []


# --- comparisons ---------------------------------------------------------------------------------


def look(session: Session, first: date | None, now: datetime = NOW) -> Trends:
    return find_trends(
        session, COMPANY, ZoneInfo("UTC"), list_days(session, COMPANY, 182, now), first, now
    )


@pytest.mark.parametrize("day", [1, 2, 5, 20])
@pytest.mark.parametrize("hour", [3, 22])
def test_nothing_changes_where_nothing_has_changed(session: Session, day: int, hour: int) -> None:
    """One failure in each six hours, half of them paid, for half a year."""
    now = datetime(2026, 11, day, hour, tzinfo=UTC)
    midnight = datetime(2026, 11, day, tzinfo=UTC)
    failures = (midnight + DAY - n * 6 * HOUR for n in range(1, 4 * 190))
    use_zone(session, ZoneInfo("UTC"))
    add(
        session,
        *(
            make_payment(at, **(LOST if number % 2 else {"recovered_at": at}))
            for number, at in enumerate(failures)
            if at <= now
        ),
    )
    trends = look(session, LONG_AGO, now)
    assert trends.failures is not None
    assert trends.rate is not None
    assert trends.failures.last == trends.failures.before
    assert abs(trends.rate.last - trends.rate.before) < 5
    if trends.month is not None:
        assert abs(trends.month.last - trends.month.before) <= 3 * 49
    called = [one.differs for one in (trends.rate, trends.failures, trends.month) if one]
    assert called == [False] * len(called)


def test_nothing_is_compared_with_a_time_before_the_set_up(session: Session) -> None:
    use_zone(session, ZoneInfo("UTC"))
    add(session, *(make_payment(NOW - n * DAY) for n in range(80)))
    first = (NOW - 59 * DAY).date()
    compared = [look(session, first - extra * timedelta(days=1)) for extra in (0, 4, 5, 10, 11)]
    assert [one.month is not None for one in compared] == [True] * 5
    assert [one.failures is not None for one in compared] == [False, False, True, True, True]
    assert [one.rate is not None for one in compared] == [False, False, False, False, True]
    nothing = look(session, None)
    assert (nothing.rate, nothing.failures, nothing.month) == (None, None, None)


# --- tries ---------------------------------------------------------------------------------------


def test_refused_tries_do_not_push_up_the_number_of_a_charge(session: Session) -> None:
    """Whop was away for six cycles; then our one charge was paid."""
    add(session, payment := make_payment(NOW - 10 * DAY))
    for number in range(1, 8):
        session.add(
            Attempt(
                payment_id=payment.payment_id,
                company_id=COMPANY,
                number=number,
                trigger=Trigger.SCHEDULE,
                outcome=AttemptOutcome.PAID if number == 7 else AttemptOutcome.REFUSED,
                idempotency_key=f"key_{number}",
                started_at=payment.failed_at + number * HOUR,
            )
        )
    session.commit()
    cohort = Cohort(COMPANY, BERLIN, None, NOW)
    assert [(one.number, one.paid_by_us) for one in insights.list_tries(session, cohort)] == [
        (1, 0),
        (2, 1),
    ]
    for value, found in (("2", 1), ("3", 0)):
        chosen = Cohort(COMPANY, BERLIN, None, NOW, ((Dimension.TRY, value),))
        assert sum_cohort(session, chosen).closed == found


def test_a_payment_stands_under_what_it_first_failed_for(session: Session) -> None:
    first, later = DeclineClass.FUNDS, DeclineClass.ISSUER
    add(session, make_payment(NOW - 10 * DAY, first_decline_class=first, decline_class=later))
    (group,) = list_groups(session, Cohort(COMPANY, BERLIN, None, NOW), Dimension.CLASS)
    assert group.key == first
