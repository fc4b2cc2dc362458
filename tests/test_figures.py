"""The figures against the raw rows: computed a second time, in Python, in exact fractions."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import stats
from db.companies import Terms, save_terms
from db.declines import DeclineClass
from db.models import Payment
from db.status import UNPAID, PaymentStatus, RecoveredBy
from tests.factories import COMPANY, HOUR, NOW

ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles")
OTHER = "biz_other"
DAYS = 40


def draw_payment(rng: random.Random, number: int, company_id: str) -> Payment:
    """Any state that a payment can be in, at any age, whole or refunded, of any currency."""
    status = rng.choice(list(PaymentStatus))
    failed_at = NOW - timedelta(minutes=rng.randrange(75 * 24 * 60))
    paid = status is PaymentStatus.RECOVERED
    recovered_at = failed_at + (NOW - failed_at) * rng.random()
    amount = Decimal(rng.choice((0, 1999, 4900, 12345))) / 100
    return Payment(
        payment_id=f"pay_{company_id}_{number}",
        company_id=company_id,
        amount=amount,
        currency="eur",
        amount_usd=rng.choice((None, amount * Decimal("1.0837"), amount)),
        refunded_amount=rng.choice((Decimal(0), amount / 3, amount)),
        reason="Insufficient funds",
        decline_class=DeclineClass.FUNDS,
        status=status,
        failed_at=failed_at,
        window_ends_at=failed_at + timedelta(days=5),
        last_attempt_at=failed_at,
        next_retry_at=NOW + HOUR if status is PaymentStatus.PENDING_RETRY else None,
        recovered_at=recovered_at if paid else None,
        recovered_by=rng.choice(list(RecoveredBy)) if paid else None,
        as_of=failed_at,
        created_at=failed_at,
    )


@pytest.fixture(params=ZONES)
def rows(request: pytest.FixtureRequest, session: Session) -> Sequence[Payment]:
    """The company's payments, beside those of another one, which must be in no figure."""
    rng = random.Random(7)
    for company_id in (COMPANY, OTHER):
        save_terms(session, company_id, Terms(time_zone=request.param))
        session.add_all(draw_payment(rng, number, company_id) for number in range(300))
    session.commit()
    return [p for p in session.scalars(select(Payment)) if p.company_id == COMPANY]


def net(payment: Payment) -> Fraction:
    """Dollars that are left after refunds; nothing where Whop gave no dollar value."""
    if payment.amount_usd is None or payment.amount == 0:
        return Fraction(0)
    left = max(payment.amount - payment.refunded_amount, Decimal(0))
    return Fraction(payment.amount_usd) * Fraction(left) / Fraction(payment.amount)


def to_cents(amount: Fraction) -> Decimal:
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def same(figure: Decimal, amount: Fraction) -> bool:
    """To the cent; Postgres divides to sixteen digits, fractions do not round at all."""
    return abs(figure - to_cents(amount)) <= Decimal("0.01") and figure == round(figure, 2)


def zone_of(session: Session) -> ZoneInfo:
    return stats.find_time_zone(session, COMPANY)


def local_date(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def test_the_summary_is_what_the_rows_add_up_to(session: Session, rows: Sequence[Payment]) -> None:
    summary = stats.summarize(session, COMPANY, NOW)
    zone = zone_of(session)
    recovered = [p for p in rows if p.status is PaymentStatus.RECOVERED]
    month = local_date(NOW, zone).replace(day=1)
    lately = [p for p in recovered if p.recovered_at and local_date(p.recovered_at, zone) >= month]
    assert 0 < len(lately) < len(recovered)
    for found, every, retry, member in (
        (
            recovered,
            summary.recovered_amount,
            summary.recovered_by_retry_amount,
            summary.recovered_by_member_amount,
        ),
        (
            lately,
            summary.recovered_this_month,
            summary.recovered_by_retry_this_month,
            summary.recovered_by_member_this_month,
        ),
    ):
        assert same(every, sum(map(net, found), Fraction()))
        for by, figure in ((RecoveredBy.RETRY, retry), (RecoveredBy.MEMBER, member)):
            assert figure > 0
            assert same(figure, sum((net(p) for p in found if p.recovered_by is by), Fraction()))
    assert (summary.total_failed, summary.total_recovered) == (len(rows), len(recovered))
    assert summary.recovery_rate == round(Decimal(100 * len(recovered)) / len(rows), 1)
    owed = (Fraction(p.amount_usd) for p in rows if p.status in UNPAID and p.amount_usd)
    assert same(summary.at_risk_amount, sum(owed, Fraction()))
    assert summary.unconverted == sum(p.amount_usd is None for p in rows)
    ages = [(NOW - p.failed_at) / timedelta(days=30) for p in rows]
    assert summary.failed_last_30_days == sum(age < 1 for age in ages)
    assert summary.failed_previous_30_days == sum(1 <= age < 2 for age in ages)


def test_each_day_is_what_its_rows_add_up_to(session: Session, rows: Sequence[Payment]) -> None:
    zone = zone_of(session)
    failed: dict[date, Fraction] = defaultdict(Fraction)
    failures: dict[date, int] = defaultdict(int)
    recovered: dict[tuple[date, RecoveredBy], Fraction] = defaultdict(Fraction)
    for payment in rows:
        day = local_date(payment.failed_at, zone)
        failures[day] += 1
        failed[day] += Fraction(payment.amount_usd or 0)
        if payment.recovered_at is not None and payment.recovered_by is not None:
            recovered[local_date(payment.recovered_at, zone), payment.recovered_by] += net(payment)
    days = stats.list_days(session, COMPANY, DAYS, NOW)
    today = local_date(NOW, zone)
    assert [day.day for day in days] == [today - timedelta(days=n) for n in range(DAYS)][::-1]
    for day in days:
        assert day.failures == failures[day.day]
        assert same(day.failed, failed[day.day])
        assert same(day.recovered_by_retry, recovered[day.day, RecoveredBy.RETRY])
        assert same(day.recovered_by_member, recovered[day.day, RecoveredBy.MEMBER])
        assert same(day.recovered_without_us, recovered[day.day, RecoveredBy.WITHOUT_US])
    assert all(sum(day.recovered_by_member for day in days[n:]) > 0 for n in (0, DAYS - 15))
