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
    Float,
    SQLColumnExpression,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.lift import Group, Lift, Money, NotEnoughData, compare
from db.models import Company, Heartbeat, Payment, Sync
from db.status import UNPAID, PaymentStatus, RecoveredBy

CURRENCY = "usd"
COMPARED = timedelta(days=30)
CENT = Decimal("0.01")
NO_MEMBERS = Group(0, 0, Money(0, 0.0, 0.0, 0.0, 0.0, 0.0))
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


# --- what our work adds ------------------------------------------------------------------------
# These read all of a company's payments and change slowly: ask seldom.


def measure_lift(session: Session, company_id: str, now: datetime) -> Lift | NotEnoughData | None:
    """None: no holdout has ever run.

    Each member's first payment under it, once its window has ended. Payments without a member are
    not among them: nobody drew whether to hold those out.
    """
    first = (
        select(
            Payment.held_out,
            Payment.window_ends_at,
            RECOVERED.label("recovered"),
            cast(Payment.amount_usd, Float).label("x"),
            case((RECOVERED, cast(NET_USD, Float)), else_=0.0).label("net"),
        )
        .ext(distinct_on(Payment.member_id))
        .where(
            Payment.company_id == company_id,
            Payment.member_id.is_not(None),
            Payment.held_out.is_not(None),
            ~Payment.imported,
        )
        .order_by(Payment.member_id, Payment.failed_at, Payment.id)
        .subquery()
    )
    ended = first.c.window_ends_at <= now
    x = first.c.x
    # Without a dollar value neither what failed nor what came back is in a sum.
    y = case((x.is_not(None), first.c.net))
    sums = [
        func.coalesce(func.sum(term).filter(ended), 0.0) for term in (x, y, x * x, x * y, y * y)
    ]
    members = [count_if(ended), count_if(and_(ended, first.c.recovered))]
    valued = count_if(and_(ended, x.is_not(None)))
    query = select(first.c.held_out, *members, valued, *sums).group_by(first.c.held_out)
    groups = {
        held_out: Group(number, recovered, Money(*money))
        for held_out, number, recovered, *money in session.execute(query)
    }
    if not groups:
        return None
    return compare(groups.get(False, NO_MEMBERS), groups.get(True, NO_MEMBERS))


@dataclass(frozen=True, slots=True)
class Baseline:
    """What had become of failed payments before we were there. Money in dollars."""

    failed: int
    recovered: int
    failed_amount: Decimal
    recovered_amount: Decimal


def measure_baseline(session: Session, company_id: str) -> Baseline | None:
    """Of the imported payments whose window had ended by the import. None: there are none."""
    without_us = and_(RECOVERED, Payment.recovered_by == RecoveredBy.WITHOUT_US)
    failed, recovered, failed_amount, recovered_amount = session.execute(
        select(
            count_if(),
            count_if(without_us),
            sum_if(true(), Payment.amount_usd),
            sum_if(without_us),
        ).where(
            Payment.company_id == company_id,
            Payment.imported,
            Payment.window_ends_at <= Payment.created_at,
        )
    ).one()
    if not failed:
        return None
    return Baseline(failed, recovered, to_cents(failed_amount), to_cents(recovered_amount))


# --- whether all is well -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SyncTrouble:
    """Why a company's payments cannot be read back from Whop, or not all about them."""

    words: str | None
    missing_permissions: tuple[str, ...]


def find_sync_trouble(session: Session, company_id: str) -> SyncTrouble | None:
    sync = session.get(Sync, company_id)
    if sync is None or not (sync.trouble or sync.missing_permissions):
        return None
    return SyncTrouble(sync.trouble, tuple(sync.missing_permissions))


def find_whop_outage(session: Session) -> datetime | None:
    """Since when Whop has not answered, as the daemon that was alive last says."""
    since = session.scalar(
        select(Heartbeat.details["whop_down_since"].astext)
        .where(Heartbeat.process == "daemon")
        .order_by(Heartbeat.beat_at.desc())
        .limit(1)
    )
    return None if since is None else datetime.fromisoformat(since)


def find_last_cycle(session: Session) -> datetime | None:
    return session.scalar(
        select(func.max(Heartbeat.last_cycle_at)).where(Heartbeat.process == "daemon")
    )
