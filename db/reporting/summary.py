"""The summary's figures and the daily amounts, for both REST and the dashboard.

docs/creators/figures.md defines each one. Money is in US dollars, as Whop converted it at the
charge. A payment without a dollar value is counted, but is in no sum (`unconverted`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, func, or_, select, text
from sqlalchemy.orm import Session

from db.company_settings.time_zones import FALLBACK, read_zone
from db.models import Company, Payment
from db.reporting.rollup import FOUND, SUMS, bind_found
from recovery.status import PaymentStatus

CURRENCY = "usd"
COMPARED = timedelta(days=30)
CENT = Decimal("0.01")
NOTHING = (Decimal("0.00"), Decimal("0.00"), Decimal("0.00"), Decimal("0.00"), 0)

RECOVERED = Payment.status == PaymentStatus.RECOVERED
# What failed or what is left of it has no value in dollars that we know.
UNCONVERTED = or_(Payment.failed_amount_usd.is_(None), and_(RECOVERED, Payment.kept_usd.is_(None)))


@dataclass(frozen=True, slots=True)
class Summary:
    """Of all time unless the name says otherwise. Rates in percent, 0 to 100; amounts in dollars.

    `by_retry`: one of our own charges collected it. `by_member`: the member paid after one of our
    messages. The rest was recovered without us (docs/creators/attribution.md).
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
    unconverted: int
    currency: str
    as_of: datetime


SUMMARIZE = text(f"""{FOUND}
select * from (
    select
        coalesce(sum(failures), 0) as failed,
        coalesce(sum(by_retry + by_member + without_us), 0) as recovered,
        coalesce(sum(retry_usd), 0) as retry,
        coalesce(sum(member_usd), 0) as member,
        coalesce(sum(without_us_usd), 0) as without_us,
        coalesce(sum(retry_usd) filter (where day >= :month), 0) as retry_month,
        coalesce(sum(member_usd) filter (where day >= :month), 0) as member_month,
        coalesce(sum(without_us_usd) filter (where day >= :month), 0) as without_us_month,
        coalesce(sum(unconverted), 0) as unconverted
    from found
) as sums, (
    select coalesce(sum(amount_usd), 0) as at_risk
    from payments where company_id = :company_id and status in ('failed', 'pending_retry')
) as owed
""")


def summarize(session: Session, company_id: str, now: datetime) -> Summary:
    zone = find_time_zone(session, company_id)
    month = now.astimezone(zone).date().replace(day=1)
    row = session.execute(SUMMARIZE, bind_found(company_id, zone) | {"month": month}).one()
    return Summary(
        total_failed=row.failed,
        total_recovered=row.recovered,
        recovery_rate=percent(row.recovered, row.failed),
        recovered_amount=to_cents(row.retry + row.member + row.without_us),
        recovered_by_retry_amount=to_cents(row.retry),
        recovered_by_member_amount=to_cents(row.member),
        recovered_this_month=to_cents(row.retry_month + row.member_month + row.without_us_month),
        recovered_by_retry_this_month=to_cents(row.retry_month),
        recovered_by_member_this_month=to_cents(row.member_month),
        at_risk_amount=to_cents(row.at_risk),
        unconverted=row.unconverted,
        currency=CURRENCY,
        as_of=now,
    )


def count_if(condition: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    count: ColumnElement[int] = func.count()
    return count if condition is None else func.count().filter(condition)


def sum_if(
    condition: ColumnElement[bool], amount: SQLColumnExpression[Decimal | None] = Payment.kept_usd
) -> ColumnElement[Decimal]:
    return func.coalesce(func.sum(amount).filter(condition), 0)


def to_cents(amount: Decimal) -> Decimal:
    return Decimal(amount).quantize(CENT)


def percent(part: int, whole: int) -> Decimal:
    return (Decimal(100 * part) / whole).quantize(Decimal("0.1")) if whole else Decimal("0.0")


def find_time_zone(session: Session, company_id: str) -> ZoneInfo:
    name = session.scalar(select(Company.time_zone).where(Company.id == company_id))
    return read_zone(session, name or FALLBACK)


@dataclass(frozen=True, slots=True)
class Day:
    """One local day in dollars: failed by day of failure, recovered by day of payment."""

    day: date
    failed: Decimal
    recovered_by_retry: Decimal
    recovered_by_member: Decimal
    recovered_without_us: Decimal
    failures: int


LIST_DAYS = text(f"""{FOUND}
select day, {", ".join(f"coalesce(sum({name}), 0) as {name}" for name in SUMS)}
from found group by day
""")


def list_days(session: Session, company_id: str, days: int, now: datetime) -> list[Day]:
    """The last `days` local days, oldest first, today and days without events included."""
    zone = find_time_zone(session, company_id)
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=ago) for ago in reversed(range(days))]
    rows = session.execute(LIST_DAYS, bind_found(company_id, zone, first=dates[0]))
    found = {
        row.day: Day(
            row.day,
            failed=to_cents(row.failed_usd),
            recovered_by_retry=to_cents(row.retry_usd),
            recovered_by_member=to_cents(row.member_usd),
            recovered_without_us=to_cents(row.without_us_usd),
            failures=row.failures,
        )
        for row in rows
    }
    return [found.get(date, Day(date, *NOTHING)) for date in dates]
