"""What is at risk now, and how the newest figures compare with those before them.

A comparison is of two periods since the set-up, up to the same hour, and is called a difference
only where chance does not explain it (db/reporting/chance.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from db.models import Payment
from db.reporting.chance import differs
from db.reporting.figures import ClosedSums, Day, Paid, percent, to_cents
from db.reporting.periods import begin_days, begin_months, go_on, measure_clock, start_of
from db.reporting.summary import RECOVERED, SINCE_SETUP, count_if, sum_if
from recovery.retrying.transitions import WINDOW
from recovery.status import UNPAID

# Days.
COMPARED = 30
SPAN = 6
# Of the local days before these, every window is over.
LONGEST_OPEN = WINDOW.days + 1
# On the overview: the rate, the failures and this month's money.
COMPARISONS = 3


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Payments that are unpaid and not given up.

    `nearest_end`: when the next window ends. `by_days_left`: how many have less than one day left,
    one to two, and so on.
    """

    payments: int
    nearest_end: datetime | None
    by_days_left: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of a period, and of the one before it. `differs`: more than chance explains."""

    last: Decimal
    before: Decimal
    differs: bool


@dataclass(frozen=True, slots=True)
class Trends:
    """`rate`: in percent, of payments whose window is over, by money. `failures`: by number.
    `month`: money of this month and of the one before up to the same hour, before anything was
    given back. None: there is nothing to compare with.

    `spans`: failed and kept money of payments whose window is over, for every six days of 60,
    oldest first.
    """

    rate: Comparison | None
    failures: Comparison | None
    month: Comparison | None
    spans: tuple[tuple[Decimal, Decimal], ...]


def find_at_risk(session: Session, company_id: str, now: datetime) -> AtRisk:
    ends = session.scalars(
        select(Payment.window_ends_at).where(
            Payment.company_id == company_id, Payment.status.in_(UNPAID), SINCE_SETUP
        )
    ).all()
    left = [0] * WINDOW.days
    for end in ends:
        left[min(max((end - now).days, 0), WINDOW.days - 1)] += 1
    return AtRisk(len(ends), min(ends, default=None), tuple(left))


def find_trends(
    session: Session,
    company_id: str,
    zone: ZoneInfo,
    days: Sequence[Day],
    first: date | None,
    now: datetime,
) -> Trends:
    """`days`: the last local days, today included, enough for what is compared. `first`: the day of
    the first failure since the set-up. What failed shortly before the set-up is known in part only,
    so a comparison begins a window later."""
    over = days[-LONGEST_OPEN - 2 * COMPARED : -LONGEST_OPEN]
    spans = [add_closed(over[n : n + SPAN]) for n in range(0, len(over), SPAN)]

    def reaches(day: date) -> bool:
        return first is not None and first + WINDOW <= day

    last_month, _ = begin_months(now, zone)
    return Trends(
        compare_rates(spans) if reaches(over[0].day) else None,
        compare_failures(session, company_id, days, now, zone)
        if reaches(days[-2 * COMPARED].day)
        else None,
        compare_months(session, company_id, days, now, zone)
        if reaches(last_month.date())
        else None,
        tuple((to_cents(span.x), to_cents(span.y)) for span in spans),
    )


def add_closed(days: Sequence[Day]) -> ClosedSums:
    return sum((day.closed for day in days), ClosedSums())


def compare_rates(spans: Sequence[ClosedSums]) -> Comparison | None:
    """Under one rate for all, what each payment is above or below it falls into either period by
    chance."""
    middle = len(spans) // 2
    before, last = (sum(part, ClosedSums()) for part in (spans[:middle], spans[middle:]))
    if not (before.x and last.x):
        return None
    both = before + last
    rate = float(both.y / both.x)
    squares = max(both.yy - 2 * rate * both.xy + rate**2 * both.xx, 0.0)
    above = float(last.y) - rate * float(last.x)
    return Comparison(
        percent(last.y, last.x),
        percent(before.y, before.x),
        differs(above, 0.0, squares, COMPARISONS),
    )


def compare_failures(
    session: Session, company_id: str, days: Sequence[Day], now: datetime, zone: ZoneInfo
) -> Comparison:
    """In the last 30 local days, today's so far included, as the chart and the list count them; and
    in as many before, up to the same hour."""
    at, until = Payment.failed_at, begin_days(now, zone, COMPARED)
    begin = begin_days(now, zone, 2 * COMPARED)
    cut = go_on(begin, measure_clock(until, now, zone), zone)
    late = session.scalar(
        select(count_if()).where(
            Payment.company_id == company_id, SINCE_SETUP, at > cut, at < until
        )
    )
    last = sum(day.failures for day in days[-COMPARED:])
    before = sum(day.failures for day in days[-2 * COMPARED : -COMPARED]) - (late or 0)
    both = last + before
    return Comparison(Decimal(last), Decimal(before), differs(last, both / 2, both, COMPARISONS))


def compare_months(
    session: Session, company_id: str, days: Sequence[Day], now: datetime, zone: ZoneInfo
) -> Comparison | None:
    """By local clocks, so that nine o'clock on the third is compared with nine o'clock on the
    third; where the month before had fewer days, with all of it."""
    last_begin, this_begin = begin_months(now, zone)
    cut = min(go_on(last_begin, measure_clock(this_begin, now, zone), zone), this_begin)
    this = add_paid(day for day in days if day.day >= this_begin.date())
    whole = add_paid(day for day in days if last_begin.date() <= day.day < cut.date())
    last = whole + read_paid(session, company_id, start_of(cut.date(), zone), cut)
    elapsed, elapsed_before = now - this_begin, cut - last_begin
    if not (last.amount and elapsed + elapsed_before):
        return None
    both = this + last
    expected = float(both.amount) * (elapsed / (elapsed + elapsed_before))
    beyond = differs(float(this.amount), expected, both.squares, COMPARISONS)
    return Comparison(to_cents(this.amount), to_cents(last.amount), beyond)


def add_paid(days: Iterable[Day]) -> Paid:
    return sum((day.paid for day in days), Paid())


def read_paid(session: Session, company_id: str, begin: datetime, end: datetime) -> Paid:
    usd, at = Payment.amount_usd, Payment.recovered_at
    amount, squares = session.execute(
        select(sum_if(true(), usd), sum_if(true(), usd * usd)).where(
            Payment.company_id == company_id, RECOVERED, SINCE_SETUP, at >= begin, at < end
        )
    ).one()
    return Paid(amount, float(squares))
