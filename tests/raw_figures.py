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
from db.reporting.figures import Closed, Day, Split, Summary
from db.reporting.summary import find_time_zone, read_figures
from recovery.declines import DeclineClass
from recovery.status import CLAIMED, UNPAID, PaymentStatus, RecoveredBy


def list_days(session: Session, company_id: str, days: int, now: datetime) -> list[Day]:
    zone = find_time_zone(session, company_id)
    return read_figures(session, company_id, zone, now, days)[1]


def net(payment: Payment) -> Fraction:
    """Dollars that are left after refunds and disputes; nothing where that is not known."""
    return Fraction(payment.kept_usd or 0)


def is_unconverted(payment: Payment) -> bool:
    unvalued = payment.status is PaymentStatus.RECOVERED and payment.kept_usd is None
    return payment.failed_amount_usd is None or unvalued


def is_since_setup(payment: Payment) -> bool | None:
    """None: in no figure."""
    classes = {payment.decline_class, payment.first_decline_class}
    if DeclineClass.TEST in classes or payment.window_ends_at <= payment.failed_at:
        return None
    ends = [payment.window_ends_at, payment.recovered_at]
    over = min(end for end in ends if end is not None)
    return not (payment.imported and over <= payment.created_at)


def is_closed(payment: Payment, now: datetime) -> bool:
    final = payment.status in (PaymentStatus.RECOVERED, PaymentStatus.PERMANENT_FAIL)
    return final and payment.window_ends_at <= now


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


def check_summary(summary: Summary, all_: Sequence[Payment], zone: ZoneInfo, now: datetime) -> None:
    rows = [p for p in all_ if is_since_setup(p)]
    recovered = [p for p in rows if p.status is PaymentStatus.RECOVERED]
    month = local_date(now, zone).replace(day=1)
    lately = [p for p in recovered if p.recovered_at and local_date(p.recovered_at, zone) >= month]
    check_split(summary.recovered, recovered)
    check_split(summary.this_month, lately)
    assert summary.failed == len(rows)
    days = [local_date(p.failed_at, zone) for p in rows]
    assert summary.first_day == min(days, default=None)
    check_rest(summary, all_)
    check_closed(summary.closed, [p for p in rows if is_closed(p, now)])
    owed = [p for p in rows if p.status in UNPAID]
    assert same(summary.at_risk_amount, add(Fraction(p.amount_usd or 0) for p in owed))
    assert summary.unconverted == sum(map(is_unconverted, rows))


def check_rest(summary: Summary, all_: Sequence[Payment]) -> None:
    """The four figures that count what was before the set-up, too."""
    rows = [p for p in all_ if is_since_setup(p) is not None]
    recovered = [p for p in rows if p.status is PaymentStatus.RECOVERED]
    assert (summary.total_failed, summary.total_recovered) == (len(rows), len(recovered))
    rate = round(Decimal(100 * len(recovered)) / len(rows), 1) if rows else Decimal("0.0")
    assert summary.recovery_rate == rate
    total = add(map(net, recovered))
    assert abs(summary.recovered_amount - to_cents(total)) <= 5 * Decimal("0.01")


def check_closed(closed: Closed, rows: Sequence[Payment]) -> None:
    recovered = [p for p in rows if p.status is PaymentStatus.RECOVERED]
    assert (closed.payments, closed.recovered) == (len(rows), len(recovered))
    valued = [p for p in rows if not is_unconverted(p)]
    assert same(closed.failed_amount, add(Fraction(p.failed_amount_usd or 0) for p in valued))
    assert same(closed.kept_amount, add(map(net, valued)))
    ours = [p for p in valued if p.recovered_by in CLAIMED]
    assert same(closed.our_amount, add(map(net, ours)))


def check_split(split: Split, recovered: Iterable[Payment]) -> None:
    paid = [p for p in recovered if p.status is PaymentStatus.RECOVERED]
    for who, figure in zip(RecoveredBy, split.parts, strict=True):
        theirs = (p for p in paid if (p.recovered_by or RecoveredBy.WITHOUT_US) is who)
        assert same(figure, add(map(net, theirs)))


def check_days(days: Sequence[Day], all_: Sequence[Payment], zone: ZoneInfo, now: datetime) -> None:
    rows = [p for p in all_ if is_since_setup(p)]
    today = local_date(now, zone)
    expected = [today - timedelta(days=ago) for ago in reversed(range(len(days)))]
    assert [day.day for day in days] == expected
    for day in days:
        failed = [p for p in rows if local_date(p.failed_at, zone) == day.day]
        assert day.failures == len(failed)
        assert same(day.failed, add(Fraction(p.failed_amount_usd or 0) for p in failed))
        check_split(
            day.recovered,
            (p for p in rows if p.recovered_at and local_date(p.recovered_at, zone) == day.day),
        )


def add(amounts: Iterable[Fraction]) -> Fraction:
    return sum(amounts, Fraction())
