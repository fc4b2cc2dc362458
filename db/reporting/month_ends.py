"""How each month stood when it ended. Later refunds and disputes change what a month has brought,
but not what was told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.company_settings.time_zones import read_zone
from db.models import Company, MonthEnd, Payment
from db.reporting.figures import to_cents
from db.reporting.periods import begin_months
from db.reporting.summary import RECOVERED, SINCE_SETUP, find_time_zone, sum_if
from recovery.status import CLAIMED

# Taken later, it would not be how the month stood when it ended.
MOST_LATE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MonthResult:
    """In dollars, net. `month`: its first day. `ours`: the part that we claim."""

    month: date
    recovered: Decimal
    ours: Decimal
    taken_at: datetime


def list_unrecorded(session: Session, now: datetime) -> Sequence[str]:
    """Companies whose month has ended of late."""
    newest = select(MonthEnd.company_id, func.max(MonthEnd.month).label("month"))
    known = newest.group_by(MonthEnd.company_id).subquery()
    companies = select(Company.id, Company.time_zone, known.c.month).outerjoin(
        known, known.c.company_id == Company.id
    )
    return [
        company_id
        for company_id, chosen, month in session.execute(companies.order_by(Company.id))
        if is_due(month, now, read_zone(session, chosen))
    ]


def is_due(newest: date | None, now: datetime, zone: ZoneInfo) -> bool:
    last_begin, this_begin = begin_months(now, zone)
    return now - this_begin <= MOST_LATE and (newest is None or newest < last_begin.date())


def record_month_end(session: Session, company_id: str, now: datetime) -> None:
    begin, end = begin_months(now, find_time_zone(session, company_id))
    ours = Payment.recovered_by.in_(CLAIMED)
    recovered, claimed = session.execute(
        select(sum_if(RECOVERED), sum_if(ours)).where(
            Payment.company_id == company_id,
            RECOVERED,
            SINCE_SETUP,
            Payment.recovered_at >= begin,
            Payment.recovered_at < end,
        )
    ).one()
    row = {"company_id": company_id, "month": begin.date(), "taken_at": now}
    row |= {"recovered_usd": recovered, "ours_usd": claimed}
    session.execute(insert(MonthEnd).values(row).on_conflict_do_nothing())


def find_month_end(session: Session, company_id: str, month: date | None) -> MonthResult | None:
    """`month`: its first day. None: nothing was recorded."""
    found = session.get(MonthEnd, (company_id, month)) if month else None
    if found is None:
        return None
    money = to_cents(found.recovered_usd), to_cents(found.ours_usd)
    return MonthResult(found.month, *money, found.taken_at)
