"""What our work adds over Whop alone, and what was recovered before we were there.

Both read one index entry per payment, which is too slow for every refresh, and both change slowly:
read them rarely. docs/creators/figures.md defines them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Float, Subquery, and_, case, cast, func, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.models import Payment
from db.reporting.figures import to_cents
from db.reporting.summary import RECOVERED, SINCE_SETUP, UNCONVERTED, count_if, sum_if
from recovery.lift.comparison import Lift, NotEnoughData, compare
from recovery.lift.groups import Group, Money, Stratum
from recovery.status import CLAIMED, RecoveredBy

# Without a dollar value of both a payment is in neither sum.
VALUED_FAILURE = case((~UNCONVERTED, Payment.failed_amount_usd))
MONTH = func.date_trunc("month", Payment.failed_at, "UTC")


def measure_lift(session: Session, company_id: str, now: datetime) -> Lift | NotEnoughData | None:
    """None: no holdout has ever run."""
    strata = list_strata(session, company_id, now)
    return compare(strata) if strata else None


def list_strata(session: Session, company_id: str, now: datetime) -> list[Stratum]:
    """By month of failure, in UTC, and the holdout's share at the draw.

    Counts each member's first payment under a holdout, once its window has ended. Payments without
    a member are left out, since the holdout is drawn by member; so are those drawn before their
    share was written down.
    """
    first = select_first_payments(company_id)
    ended = first.c.window_ends_at <= now
    x = first.c.x
    # Without a dollar value a payment is in neither sum.
    y = case((x.is_not(None), first.c.net))
    sums = [
        func.coalesce(func.sum(term).filter(ended), 0.0) for term in (x, y, x * x, x * y, y * y)
    ]
    members = [count_if(ended), count_if(and_(ended, first.c.recovered))]
    members.append(count_if(and_(ended, first.c.recovered, first.c.claimed)))
    valued = count_if(and_(ended, x.is_not(None)))
    by = (first.c.assigned_share, first.c.month)
    query = select(*by, first.c.held_out, *members, valued, *sums).group_by(*by, first.c.held_out)
    found: dict[tuple[int, datetime], dict[bool, Group]] = {}
    for share, month, held_out, number, recovered, claimed, *money in session.execute(query):
        group = Group(number, recovered, Money(*money), claimed)
        found.setdefault((share, month), {})[held_out] = group
    return [
        Stratum(share / 100, groups.get(False, Group()), groups.get(True, Group()))
        for (share, _), groups in sorted(found.items())
    ]


def select_first_payments(company_id: str) -> Subquery:
    return (
        select(
            Payment.held_out,
            Payment.assigned_share,
            MONTH.label("month"),
            Payment.window_ends_at,
            RECOVERED.label("recovered"),
            and_(RECOVERED, Payment.recovered_by.in_(CLAIMED)).label("claimed"),
            cast(VALUED_FAILURE, Float).label("x"),
            case((RECOVERED, cast(Payment.kept_usd, Float)), else_=0.0).label("net"),
        )
        .ext(distinct_on(Payment.member_id))
        .where(
            Payment.company_id == company_id,
            Payment.member_id.is_not(None),
            Payment.held_out.is_not(None),
            Payment.assigned_share.is_not(None),
            ~Payment.imported,
            SINCE_SETUP,
        )
        .order_by(Payment.member_id, Payment.failed_at, Payment.id)
        .subquery()
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """What happened to failed payments before we were there. Money in dollars."""

    failed: int
    recovered: int
    failed_amount: Decimal
    recovered_amount: Decimal


def measure_baseline(session: Session, company_id: str) -> Baseline | None:
    """Over imported payments whose window had ended before the import. None: there are none."""
    without_us = and_(RECOVERED, Payment.recovered_by == RecoveredBy.WITHOUT_US)
    failed, recovered, failed_amount, recovered_amount = session.execute(
        select(
            count_if(),
            count_if(without_us),
            sum_if(true(), Payment.failed_amount_usd),
            sum_if(without_us),
        ).where(
            Payment.company_id == company_id,
            Payment.imported,
            Payment.window_ends_at <= Payment.created_at,
            Payment.since_setup.is_not(None),
        )
    ).one()
    if not failed:
        return None
    return Baseline(failed, recovered, to_cents(failed_amount), to_cents(recovered_amount))
