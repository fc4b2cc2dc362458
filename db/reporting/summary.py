"""The summary's figures and the daily amounts, for both REST and the dashboard.

docs/creators/figures.md defines each one. Money is in US dollars, as Whop converted it at the
charge. A payment without a dollar value is counted, but is in no sum (`unconverted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, SQLColumnExpression, and_, func, or_, select, text
from sqlalchemy.orm import Session

from db.company_settings.time_zones import FALLBACK, read_zone
from db.models import Company, Payment
from db.reporting.daily_sums import FOUND, SUMS, WAYS, bind_found
from db.reporting.figures import (
    NO_MONEY,
    Closed,
    ClosedSums,
    Day,
    History,
    Paid,
    Split,
    Summary,
    to_cents,
)
from recovery.status import PaymentStatus

CURRENCY = "usd"

RECOVERED = Payment.status == PaymentStatus.RECOVERED
# What the pages count. REST's first four figures add what was over before.
SINCE_SETUP = Payment.since_setup.is_(True)
# What failed or what is left of it has no value in dollars that we know.
UNCONVERTED = or_(Payment.failed_amount_usd.is_(None), and_(RECOVERED, Payment.kept_usd.is_(None)))


AMOUNTS = tuple(f"{who}_usd" for who in WAYS.values())
CLOSED_SUMS = (
    "closed_failed_usd",
    "closed_kept_usd",
    "closed_failed_squares",
    "closed_products",
    "closed_kept_squares",
)
# One row for each day since then, one without a day for those before, and a last one for all time.
READ = text(f"""{FOUND}
select since_then as day, min(day) filter (where failures > 0) as first_day,
    {", ".join(f"sum({name}) as {name}" for name in SUMS)},
    (
        select coalesce(sum(amount_usd), 0) from payments
        where company_id = :company_id and status in ('failed', 'pending_retry') and since_setup
    ) as at_risk
from (select *, case when day >= :since then day end as since_then from found) as sums
group by grouping sets ((since_then), ())
order by grouping(since_then)
""")


def read_figures(
    session: Session, company_id: str, zone: ZoneInfo, now: datetime, days: int
) -> tuple[Summary, list[Day]]:
    """The summary, and the last `days` local days, oldest first, today and days without events
    included."""
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=ago) for ago in reversed(range(days))]
    month = today.replace(day=1)
    since = {"since": min([month, *dates])}
    *rows, ever = session.execute(READ, bind_found(company_id, zone, now) | since)
    found = {row.day: make_day(row) for row in rows if row.day is not None}
    lately = [row for row in rows if row.day is not None and row.day >= month]
    return make_summary(ever, lately, now), [found.get(date) or Day(date) for date in dates]


def summarize(session: Session, company_id: str, now: datetime) -> Summary:
    zone = find_time_zone(session, company_id)
    return read_figures(session, company_id, zone, now, 0)[0]


def make_summary(ever: Row[Any], this_month: Sequence[Row[Any]], now: datetime) -> Summary:
    """`ever`: the sums of all time; null where nothing has failed yet."""
    total: dict[str, Any] = {name: amount or 0 for name, amount in ever._mapping.items()}
    money = {name: to_cents(amount) for name, amount in total.items() if name.endswith("usd")}
    month = (sum((getattr(row, name) for row in this_month), NO_MONEY) for name in AMOUNTS)
    return Summary(
        failed=total["failures"],
        recovered=Split(*(money[name] for name in AMOUNTS)),
        recovered_payments=sum(total[name] for name in WAYS),
        this_month=Split(*map(to_cents, month)),
        closed=Closed(
            total["closed"],
            total["closed_recovered"],
            money["closed_failed_usd"],
            money["closed_kept_usd"],
            money["closed_ours_usd"],
        ),
        history=History(total["before_failures"], total["before_recovered"], money["before_usd"]),
        at_risk_amount=to_cents(ever.at_risk),
        unconverted=total["unconverted"],
        first_day=ever.first_day,
        currency=CURRENCY,
        as_of=now,
    )


def make_day(row: Row[Any]) -> Day:
    """Half a year of these is made for each refresh, so the row is read once."""
    told = row._mapping
    recovered = Split(*(to_cents(told[name]) for name in AMOUNTS))
    closed = ClosedSums(*(told[name] for name in CLOSED_SUMS))
    paid = Paid(told["paid_usd"], told["paid_squares"])
    return Day(told["day"], to_cents(told["failed_usd"]), recovered, told["failures"], closed, paid)


def count_if(condition: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    count: ColumnElement[int] = func.count()
    return count if condition is None else func.count().filter(condition)


def sum_if(
    condition: ColumnElement[bool], amount: SQLColumnExpression[Decimal | None] = Payment.kept_usd
) -> ColumnElement[Decimal]:
    return func.coalesce(func.sum(amount).filter(condition), 0)


def find_time_zone(session: Session, company_id: str) -> ZoneInfo:
    name = session.scalar(select(Company.time_zone).where(Company.id == company_id))
    return read_zone(session, name or FALLBACK)
