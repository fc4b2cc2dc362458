"""Which payments are recovered: by reason, try, time, product, card and message.

docs/creators/insights.md defines each figure. All are aggregates over the closed windows of one
company's payments (`db.reporting.cohorts`), read by an index; only sums leave the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, func
from sqlalchemy.orm import Session

from db.models import Attempt, Message, Payment
from db.reporting.cohorts import Cohort, Dimension, closed, make_key, select_cohort
from db.reporting.summary import RECOVERED, count_if, sum_if, to_cents
from recovery.status import (
    OUR_TRIGGERS,
    AttemptOutcome,
    Channel,
    MessageState,
    PaymentStatus,
    RecoveredBy,
)

WINDOW_HOURS = 120
SECONDS_PER_HOUR = 3600
BY_RETRY = and_(RECOVERED, Payment.recovered_by == RecoveredBy.RETRY)
BY_MEMBER = and_(RECOVERED, Payment.recovered_by == RecoveredBy.MEMBER)
WITHOUT_US = and_(
    RECOVERED,
    Payment.recovered_by.is_distinct_from(RecoveredBy.RETRY),
    Payment.recovered_by.is_distinct_from(RecoveredBy.MEMBER),
)


@dataclass(frozen=True, slots=True)
class Group:
    """Payments with something in common. Money in dollars.

    `newer`: those not closed yet, whatever has become of them so far: `newer_recovered`,
    `newer_lost`, and the rest.
    """

    key: str
    closed: int
    by_retry: int
    by_member: int
    without_us: int
    newer: int
    newer_recovered: int
    newer_lost: int
    failed_amount: Decimal
    recovered_amount: Decimal
    unconverted: int

    @property
    def recovered(self) -> int:
        return self.by_retry + self.by_member + self.without_us

    @property
    def newer_open(self) -> int:
        return self.newer - self.newer_recovered - self.newer_lost


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


def describe_group(now: datetime) -> list[ColumnElement[Any]]:
    over = closed(now)
    return [
        count_if(over),
        count_if(and_(over, BY_RETRY)),
        count_if(and_(over, BY_MEMBER)),
        count_if(and_(over, WITHOUT_US)),
        count_if(~over),
        count_if(and_(~over, RECOVERED)),
        count_if(and_(~over, Payment.status == PaymentStatus.PERMANENT_FAIL)),
        sum_if(over, Payment.amount_usd),
        sum_if(and_(over, RECOVERED)),
        count_if(and_(over, Payment.amount_usd.is_(None))),
    ]


def make_group(key: str, *row: Any) -> Group:
    """`row` is in the order of `describe_group`, which is that of Group's fields."""
    *counts, failed, recovered, unconverted = row
    fields = (key, *counts, to_cents(failed), to_cents(recovered), unconverted)
    return Group(*fields)


def sum_cohort(session: Session, cohort: Cohort) -> Group:
    """Over the whole cohort, imported history included."""
    row = session.execute(select_cohort(cohort, None, *describe_group(cohort.now))).one()
    return make_group("", *row)


def list_groups(session: Session, cohort: Cohort, by: Dimension) -> list[Group]:
    """In the order of their keys. Not for tries and steps, of which a payment has several."""
    key = make_key(by, cohort.zone).label("key")
    query = select_cohort(cohort, by, key, *describe_group(cohort.now)).group_by(key)
    return sorted((make_group(*row) for row in session.execute(query)), key=lambda one: one.key)


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
