"""Which payments are recovered: by try, time and message. By reason, product, card: groups.py.

docs/creators/insights.md defines each figure. All are aggregates over the closed windows of one
company's payments (`db.reporting.cohorts`), read by an index; only sums leave the database.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Text, and_, cast, func
from sqlalchemy.orm import Session

from db.models import Attempt, Message, Payment
from db.reporting.cohorts import Cohort, Dimension, closed, select_cohort
from db.reporting.groups import BY_MEMBER, BY_RETRY, WITHOUT_US
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
    by_retry: int
    by_member: int
    without_us: int


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
    """Charges that were paid or declined. Refused ones never reached a bank, and those with an
    unknown outcome count as neither."""
    over = closed(cohort.now)
    ours = Attempt.trigger.in_(OUR_TRIGGERS)
    paid = Attempt.outcome == AttemptOutcome.PAID
    first = session.scalar(select_cohort(cohort, Dimension.TRY, count_if(over))) or 0
    query = (
        select_cohort(
            cohort,
            Dimension.TRY,
            Attempt.number + 1,
            count_if(and_(paid, ours)),
            count_if(and_(paid, ~ours)),
            count_if(Attempt.outcome == AttemptOutcome.DECLINED),
        )
        .join(Attempt, Attempt.payment_id == Payment.payment_id)
        .where(over)
        .group_by(Attempt.number)
        .order_by(Attempt.number)
    )
    later = [Try(*row) for row in session.execute(query)]
    return ([Try(1, 0, 0, first)] if first else []) + [one for one in later if one.made]


def list_hours(session: Session, cohort: Cohort) -> list[Hour]:
    """Without imported history, which would show how fast Whop alone was."""
    elapsed = func.extract("epoch", Payment.recovered_at - Payment.failed_at)
    full = func.floor(func.greatest(elapsed, 0) / SECONDS_PER_HOUR)
    hour = func.least(full, WINDOW_HOURS).label("hour")
    query = (
        select_cohort(
            cohort,
            None,
            hour,
            count_if(BY_RETRY),
            count_if(BY_MEMBER),
            count_if(WITHOUT_US),
        )
        .where(closed(cohort.now), RECOVERED, ~Payment.imported)
        .group_by(hour)
        .order_by(hour)
    )
    return [Hour(int(row.hour), *row[1:]) for row in session.execute(query)]


def count_watched(session: Session, cohort: Cohort) -> int:
    """Closed payments that we knew from the start: the whole of which `list_hours` is a part."""
    query = select_cohort(cohort, None, count_if(closed(cohort.now))).where(~Payment.imported)
    return session.scalar(query) or 0


def list_steps(session: Session, cohort: Cohort) -> list[StepCount]:
    # The same as on the page Messages: what our message is credited with.
    paid = and_(BY_MEMBER, Payment.recovered_at > Message.sent_at)
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
            count_if(paid),
        )
        .join(Message, Message.payment_id == Payment.payment_id)
        .where(closed(cohort.now), Message.state == MessageState.SENT)
        .group_by(Message.step, Message.channel)
        .order_by(Message.step, Message.channel)
    )
    return [StepCount(*row) for row in session.execute(query)]
