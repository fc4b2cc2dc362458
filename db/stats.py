"""Every figure, as SQL. REST and dashboard both call these, so they cannot disagree.

docs/figures.md defines each one. Money is in US dollars, as Whop normalized it when the payment
was charged; a payment without a dollar value is counted, but is in no sum (`unconverted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from db.models import Company, Payment
from db.status import UNPAID, PaymentStatus, RecoveredBy

CURRENCY = "usd"
COMPARED = timedelta(days=30)
CENT = Decimal("0.01")
NOTHING = (Decimal("0.00"), Decimal("0.00"), Decimal("0.00"), Decimal("0.00"), 0)

RECOVERED = Payment.status == PaymentStatus.RECOVERED
BY_RETRY = and_(RECOVERED, Payment.recovered_by == RecoveredBy.RETRY)
BY_MEMBER = and_(RECOVERED, Payment.recovered_by == RecoveredBy.MEMBER)
# What is left of a payment after refunds, in dollars.
NET_USD = Payment.amount_usd * case(
    (Payment.amount == 0, 0),
    else_=func.greatest(Payment.amount - Payment.refunded_amount, 0) / Payment.amount,
)


@dataclass(frozen=True, slots=True)
class Summary:
    """All time unless the name says otherwise. Rates in percent, 0 to 100; amounts in dollars.

    `by_retry`: one of our own charges collected it. `by_member`: the member paid after a message
    of ours. The rest of what was recovered came without us (docs/attribution.md).
    """

    total_failed: int
    total_recovered: int
    recovery_rate: Decimal
    recovered_amount: Decimal
    recovered_by_retry_amount: Decimal
    recovered_by_member_amount: Decimal
    recovered_this_month: Decimal
    recovered_by_retry_this_month: Decimal
    recovered_by_member_this_month: Decimal
    at_risk_amount: Decimal
    failed_last_30_days: int
    failed_previous_30_days: int
    unconverted: int
    currency: str
    as_of: datetime


def summarize(session: Session, company_id: str, now: datetime) -> Summary:
    this_month = Payment.recovered_at >= find_month_start(session, company_id, now)
    last = Payment.failed_at > now - COMPARED
    previous = and_(~last, Payment.failed_at > now - 2 * COMPARED)
    row = session.execute(
        select(
            count_if(),
            count_if(RECOVERED),
            sum_if(RECOVERED),
            sum_if(BY_RETRY),
            sum_if(BY_MEMBER),
            sum_if(and_(RECOVERED, this_month)),
            sum_if(and_(BY_RETRY, this_month)),
            sum_if(and_(BY_MEMBER, this_month)),
            sum_if(Payment.status.in_(UNPAID), Payment.amount_usd),
            count_if(last),
            count_if(previous),
            count_if(Payment.amount_usd.is_(None)),
        ).where(Payment.company_id == company_id)
    ).one()
    failed, recovered, *amounts, last_failed, previously_failed, unconverted = row
    total, retry, member, month, retry_month, member_month, at_risk = map(to_cents, amounts)
    return Summary(
        total_failed=failed,
        total_recovered=recovered,
        recovery_rate=percent(recovered, failed),
        recovered_amount=total,
        recovered_by_retry_amount=retry,
        recovered_by_member_amount=member,
        recovered_this_month=month,
        recovered_by_retry_this_month=retry_month,
        recovered_by_member_this_month=member_month,
        at_risk_amount=at_risk,
        failed_last_30_days=last_failed,
        failed_previous_30_days=previously_failed,
        unconverted=unconverted,
        currency=CURRENCY,
        as_of=now,
    )


def count_if(condition: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    count: ColumnElement[int] = func.count()
    return count if condition is None else func.count().filter(condition)


def sum_if(
    condition: ColumnElement[bool], amount: SQLColumnExpression[Decimal | None] = NET_USD
) -> ColumnElement[Decimal]:
    return func.coalesce(func.sum(amount).filter(condition), 0)


def to_cents(amount: Decimal) -> Decimal:
    return Decimal(amount).quantize(CENT)


def percent(part: int, whole: int) -> Decimal:
    return (Decimal(100 * part) / whole).quantize(Decimal("0.1")) if whole else Decimal("0.0")


def find_time_zone(session: Session, company_id: str) -> ZoneInfo:
    name = session.scalar(select(Company.time_zone).where(Company.id == company_id))
    return ZoneInfo(name or "UTC")


def find_month_start(session: Session, company_id: str, now: datetime) -> datetime:
    """In the company's own time zone: that is the month its creator means."""
    local = now.astimezone(find_time_zone(session, company_id))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Day:
    """One local day's money, in dollars: failed by day of failure, recovered by day of payment."""

    day: date
    failed: Decimal
    recovered_by_retry: Decimal
    recovered_by_member: Decimal
    recovered_without_us: Decimal
    failures: int


def list_days(session: Session, company_id: str, days: int, now: datetime) -> list[Day]:
    """The last `days` local days, oldest first, today included; days without events are there."""
    zone = find_time_zone(session, company_id)
    today = now.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    start = datetime(first.year, first.month, first.day, tzinfo=zone)
    failed = select(
        local_day(Payment.failed_at, zone).label("day"),
        Payment.amount_usd.label("failed"),
        # Each a column of its own: the same object twice would be taken for one column.
        literal(Decimal(0)).label("by_retry"),
        literal(Decimal(0)).label("by_member"),
        literal(Decimal(0)).label("without_us"),
        literal(1).label("failures"),
    ).where(Payment.company_id == company_id, Payment.failed_at >= start)
    retry = case((Payment.recovered_by == RecoveredBy.RETRY, NET_USD), else_=0)
    member = case((Payment.recovered_by == RecoveredBy.MEMBER, NET_USD), else_=0)
    recovered = select(
        local_day(Payment.recovered_at, zone),
        literal(Decimal(0)),
        retry,
        member,
        NET_USD - retry - member,
        literal(0),
    ).where(Payment.company_id == company_id, RECOVERED, Payment.recovered_at >= start)
    both = union_all(failed, recovered).subquery()
    day, *sums = both.c
    totals = [func.coalesce(func.sum(column), 0).label(column.name) for column in sums]
    rows = session.execute(select(day, *totals).group_by(day)).all()
    found = {
        row.day: Day(
            row.day,
            failed=to_cents(row.failed),
            recovered_by_retry=to_cents(row.by_retry),
            recovered_by_member=to_cents(row.by_member),
            recovered_without_us=to_cents(row.without_us),
            failures=int(row.failures),
        )
        for row in rows
    }
    dates = [first + timedelta(days=n) for n in range(days)]
    return [found.get(date, Day(date, *NOTHING)) for date in dates]


def local_day(column: SQLColumnExpression[Any], zone: ZoneInfo) -> ColumnElement[date]:
    return func.date(func.timezone(zone.key, column))


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: the next one starts after it."""

    failed_at: datetime
    id: int


def list_payments(
    session: Session,
    company_id: str,
    *,
    limit: int,
    status: PaymentStatus | None = None,
    after: Cursor | None = None,
) -> Sequence[Payment]:
    """Newest failure first, by index, whatever the size of the company."""
    query = select(Payment).where(Payment.company_id == company_id)
    if status is not None:
        query = query.where(Payment.status == status)
    if after is not None:
        query = query.where(
            or_(
                Payment.failed_at < after.failed_at,
                and_(Payment.failed_at == after.failed_at, Payment.id < after.id),
            ),
            Payment.failed_at <= after.failed_at,
        )
    newest = query.order_by(Payment.failed_at.desc(), Payment.id.desc()).limit(limit)
    return session.scalars(newest).all()


def list_company_ids(session: Session, limit: int = 2) -> Sequence[str]:
    """Enough to tell whether there is exactly one."""
    return session.scalars(select(Company.id).order_by(Company.id).limit(limit)).all()
