"""What is at risk now, and the trend of the recovery rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.orm import Session

from db.ledger.unknown_payments import COUNTS
from db.models import Payment
from db.reporting.summary import COMPARED
from recovery.status import UNPAID, PaymentStatus
from recovery.transitions import WINDOW

SPAN = timedelta(days=6)
SPANS = 2 * COMPARED // SPAN


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
class Trend:
    """Payments whose window is over: failed and recovered, for every six days of 60, oldest
    first."""

    spans: tuple[tuple[int, int], ...]

    @property
    def last(self) -> tuple[int, int]:
        """Failed and recovered in the newer 30 days."""
        return add_up(self.spans[len(self.spans) // 2 :])

    @property
    def before(self) -> tuple[int, int]:
        return add_up(self.spans[: len(self.spans) // 2])


def find_at_risk(session: Session, company_id: str, now: datetime) -> AtRisk:
    ends = session.scalars(
        select(Payment.window_ends_at).where(
            Payment.company_id == company_id, Payment.status.in_(UNPAID)
        )
    ).all()
    left = [0] * WINDOW.days
    for end in ends:
        left[min(max((end - now).days, 0), WINDOW.days - 1)] += 1
    return AtRisk(len(ends), min(ends, default=None), tuple(left))


def add_up(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(failed for failed, _ in spans), sum(recovered for _, recovered in spans)


def find_trend(session: Session, company_id: str, now: datetime) -> Trend:
    """Leaves out open windows, which would make the newest days look worse."""
    end = now - WINDOW
    seconds = func.extract("epoch", end - Payment.failed_at)
    ago = cast(func.floor(seconds / SPAN.total_seconds()), Integer).label("ago")
    rows = session.execute(
        select(ago, func.count(), func.count().filter(Payment.status == PaymentStatus.RECOVERED))
        .where(
            Payment.company_id == company_id,
            COUNTS,
            Payment.failed_at <= end,
            Payment.failed_at > end - 2 * COMPARED,
        )
        .group_by(ago)
    )
    found = {number: (failed, recovered) for number, failed, recovered in rows}
    return Trend(tuple(found.get(number, (0, 0)) for number in reversed(range(SPANS))))
