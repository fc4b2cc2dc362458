"""Which payments are recovered: by try, time and message. By reason, product, card: groups.py.

docs/creators/insights.md defines each figure. All are aggregates over the closed windows of one
company's payments (`db.reporting.cohorts`), read by an index; only sums leave the database.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Text, and_, cast, func, select
from sqlalchemy.orm import Session

from db.models import Attempt, Message, Payment
from db.reporting.cohorts import CHARGED, Cohort, Dimension, closed, select_cohort
from db.reporting.groups import WAYS, Counts
from db.reporting.message_results import PAID_AFTER
from db.reporting.summary import RECOVERED, count_if
from recovery.status import OUR_TRIGGERS, AttemptOutcome, Channel, MessageState

WINDOW_HOURS = 120
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Try:
    """The n-th charges of payments; the first is the failure itself."""

    number: int
    paid_by_us: int
    paid_otherwise: int
    declined: int

    @property
    def made(self) -> int:
        return self.paid_by_us + self.paid_otherwise + self.declined


@dataclass(frozen=True, slots=True)
class Hour:
    """Recoveries in the hour that begins `hour` hours after the failure; 120: all later ones."""

    hour: int
    by: Counts


@dataclass(frozen=True, slots=True)
class StepCount:
    """The sent messages of one step and channel: how many were delivered, opened, clicked, paid."""

    step: str
    channel: str
    sent: int
    delivered: int
    opened: int
    clicked: int
    paid: int


def list_tries(session: Session, cohort: Cohort) -> list[Try]:
    """Charges that were paid or declined, numbered by themselves: refused ones never reached a
    bank. Without imported payments, whose earlier charges are not known."""
    over = and_(closed(cohort.now), ~Payment.imported)
    first = session.scalar(select_cohort(cohort, Dimension.TRY, count_if(over))) or 0
    nth = func.row_number().over(partition_by=Attempt.payment_id, order_by=Attempt.number)
    charges = (
        select_cohort(cohort, Dimension.TRY, nth.label("nth"), Attempt.outcome, Attempt.trigger)
        .join(Attempt, Attempt.payment_id == Payment.payment_id)
        .where(over, CHARGED)
        .subquery()
    )
    paid = charges.c.outcome == AttemptOutcome.PAID
    ours = charges.c.trigger.in_(OUR_TRIGGERS)
    query = (
        select(
            charges.c.nth + 1,
            count_if(and_(paid, ours)),
            count_if(and_(paid, ~ours)),
            count_if(~paid),
        )
        .group_by(charges.c.nth)
        .order_by(charges.c.nth)
    )
    later = [Try(*row) for row in session.execute(query)]
    return ([Try(1, 0, 0, first)] if first else []) + later


def list_hours(session: Session, cohort: Cohort) -> list[Hour]:
    """Without imported payments: those paid soon were paid before the import."""
    elapsed = func.extract("epoch", Payment.recovered_at - Payment.failed_at)
    full = func.floor(func.greatest(elapsed, 0) / SECONDS_PER_HOUR)
    hour = func.least(full, WINDOW_HOURS).label("hour")
    query = (
        select_cohort(
            cohort,
            None,
            hour,
            *(count_if(way) for way in WAYS),
        )
        .where(closed(cohort.now), RECOVERED, ~Payment.imported)
        .group_by(hour)
        .order_by(hour)
    )
    return [Hour(int(row.hour), Counts(*row[1:])) for row in session.execute(query)]


def count_watched(session: Session, cohort: Cohort) -> int:
    """Closed payments that we knew from the start: the whole of which `list_hours` is a part."""
    query = select_cohort(cohort, None, count_if(closed(cohort.now))).where(~Payment.imported)
    return session.scalar(query) or 0


def list_steps(session: Session, cohort: Cohort) -> list[StepCount]:
    mail = Message.channel == Channel.EMAIL
    query = (
        select_cohort(
            cohort,
            Dimension.STEP,
            cast(Message.step, Text),
            cast(Message.channel, Text),
            count_if(),
            count_if(and_(mail, Message.delivered_at.is_not(None))),
            count_if(and_(mail, Message.opened_at.is_not(None))),
            count_if(and_(mail, Message.clicked_at.is_not(None))),
            count_if(PAID_AFTER),
        )
        .join(Message, Message.payment_id == Payment.payment_id)
        .where(closed(cohort.now), Message.state == MessageState.SENT)
        .group_by(Message.step, Message.channel)
        .order_by(Message.step, Message.channel)
    )
    return [StepCount(*row) for row in session.execute(query)]
