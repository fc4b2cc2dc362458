"""Results of messages, counted in SQL over the index of a company's sent ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from db.member_messages.arrivals import find_arrival
from db.models import Message, Payment, Suppression
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.status import Channel, MessageState, RecoveredBy, Step

# How many are searched for one of a class: enough for a preview, without an index of classes.
NEWEST_PAYMENTS = 1000
# The member's own payment, claimed for a message, came after this one had arrived.
PAID_AFTER = and_(
    Payment.recovered_by.in_((RecoveredBy.CLICK, RecoveredBy.MEMBER)),
    Payment.recovered_at >= find_arrival(Message),
)


@dataclass(frozen=True, slots=True)
class Results:
    """Results of one step's messages.

    `mails`: those sent by email; only for them the mail service reports what follows. A message
    joined to another is not counted.
    """

    sent: int = 0
    mails: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    undelivered: int = 0
    paid_after: int = 0


def count_results(session: Session, company_id: str, since: datetime | None) -> dict[Step, Results]:
    """For messages sent since then, or ever. Steps of which none was sent are missing."""
    by_mail = Message.channel == Channel.EMAIL
    found = session.execute(
        select(
            Message.step,
            func.count(),
            func.count().filter(by_mail),
            func.count().filter(by_mail, Message.delivered_at.is_not(None)),
            func.count().filter(by_mail, Message.opened_at.is_not(None)),
            func.count().filter(by_mail, Message.clicked_at.is_not(None)),
            func.count().filter(by_mail, Message.delivery_failure.is_not(None)),
            func.count().filter(PAID_AFTER),
        )
        .join(Payment, Payment.payment_id == Message.payment_id)
        .where(
            Message.company_id == company_id,
            Message.sent_at.is_not(None) if since is None else Message.sent_at >= since,
            Message.state == MessageState.SENT,
        )
        .group_by(Message.step)
    )
    return {step: Results(*numbers) for step, *numbers in found}


def count_suppressed(session: Session, company_id: str) -> dict[DeliveryFailure, int]:
    """How many addresses get no more emails, by reason; never which ones."""
    found = session.execute(
        select(Suppression.reason, func.count().label("number"))
        .where(Suppression.company_id == company_id)
        .group_by(Suppression.reason)
    )
    return {row.reason: row.number for row in found}


def find_newest(session: Session, company_id: str, decline_class: DeclineClass) -> Payment | None:
    """The newest payment of this class, among the company's newest ones. None: there is none."""
    newest = (
        select(Payment.id, Payment.failed_at, Payment.decline_class)
        .where(Payment.company_id == company_id)
        .order_by(Payment.failed_at.desc(), Payment.id.desc())
        .limit(NEWEST_PAYMENTS)
        .subquery()
    )
    return session.scalar(
        select(Payment)
        .join(newest, newest.c.id == Payment.id)
        .where(newest.c.decline_class == decline_class)
        .order_by(newest.c.failed_at.desc(), newest.c.id.desc())
        .limit(1)
    )
