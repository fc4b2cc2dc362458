"""The figures a second time, from the raw rows, in Python and in exact fractions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Payment
from db.reporting.summary import Day, Summary
from recovery.status import UNPAID, PaymentStatus, RecoveredBy


def net(payment: Payment) -> Fraction:
    """Dollars that are left after refunds and disputes; nothing where that is not known."""
    return Fraction(payment.kept_usd or 0)


def is_unconverted(payment: Payment) -> bool:
    unvalued = payment.status is PaymentStatus.RECOVERED and payment.kept_usd is None
    return payment.failed_amount_usd is None or unvalued


def to_cents(amount: Fraction) -> Decimal:
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def same(figure: Decimal, amount: Fraction) -> bool:
    """To the cent; Postgres divides to sixteen digits, fractions do not round at all."""
    return abs(figure - to_cents(amount)) <= Decimal("0.01") and figure == round(figure, 2)


def local_date(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def read_rows(session: Session, company_id: str) -> Sequence[Payment]:
    query = select(Payment).where(Payment.company_id == company_id)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def check_summary(summary: Summary, rows: Sequence[Payment], zone: ZoneInfo, now: datetime) -> None:
    recovered = [p for p in rows if p.status is PaymentStatus.RECOVERED]
    month = local_date(now, zone).replace(day=1)
    lately = [p for p in recovered if p.recovered_at and local_date(p.recovered_at, zone) >= month]
    check_recovered(
        recovered,
        summary.recovered_amount,
        summary.recovered_by_retry_amount,
        summary.recovered_by_member_amount,
    )
    check_recovered(
        lately,
        summary.recovered_this_month,
        summary.recovered_by_retry_this_month,
        summary.recovered_by_member_this_month,
    )
    assert (summary.total_failed, summary.total_recovered) == (len(rows), len(recovered))
    rate = round(Decimal(100 * len(recovered)) / len(rows), 1) if rows else Decimal("0.0")
    assert summary.recovery_rate == rate
    owed = [p for p in rows if p.status in UNPAID]
    assert same(summary.at_risk_amount, add(Fraction(p.amount_usd or 0) for p in owed))
    assert summary.unconverted == sum(map(is_unconverted, rows))


def check_recovered(
    recovered: Sequence[Payment], total: Decimal, by_retry: Decimal, by_member: Decimal
) -> None:
    assert same(total, add(map(net, recovered)))
    for who, figure in ((RecoveredBy.RETRY, by_retry), (RecoveredBy.MEMBER, by_member)):
        assert same(figure, add(net(p) for p in recovered if p.recovered_by is who))


def check_days(days: Sequence[Day], rows: Sequence[Payment], zone: ZoneInfo, now: datetime) -> None:
    today = local_date(now, zone)
    expected = [today - timedelta(days=ago) for ago in reversed(range(len(days)))]
    assert [day.day for day in days] == expected
    for day in days:
        failed = [p for p in rows if local_date(p.failed_at, zone) == day.day]
        assert day.failures == len(failed)
        assert same(day.failed, add(Fraction(p.failed_amount_usd or 0) for p in failed))
        for who, figure in (
            (RecoveredBy.RETRY, day.recovered_by_retry),
            (RecoveredBy.MEMBER, day.recovered_by_member),
            (RecoveredBy.WITHOUT_US, day.recovered_without_us),
        ):
            paid = (
                p
                for p in rows
                if p.recovered_by is who
                and p.recovered_at is not None
                and local_date(p.recovered_at, zone) == day.day
            )
            assert same(figure, add(map(net, paid)))


def add(amounts: Iterable[Fraction]) -> Fraction:
    return sum(amounts, Fraction())
