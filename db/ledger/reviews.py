"""What facts about memberships and members mean for payments: close, hold, or go on.

A running attempt is left to settle, since its charge may have been made. If it has not been sent,
`claims.mark_sent` does not send it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from db.ledger import attempts, diary
from db.ledger.amounts import revalue
from db.ledger.facts import Concern
from db.ledger.payments import lock_payments, move, schedule
from db.member_messages import cancellation, planner
from db.members import find_standing
from db.models import Message, Payment
from recovery.labels import CLOSED_REASONS, continue_with
from recovery.retrying.context import RetryRules
from recovery.retrying.transitions import closed
from recovery.status import UNPAID, ClosedReason, MessageState

QUEUED = select(Message.payment_id).where(Message.state == MessageState.QUEUED)


def review_all(
    session: Session, concerns: Iterable[Concern], now: datetime, rules: RetryRules
) -> None:
    """Looks again at the unpaid payments that facts concern; where they stop, also at the messages
    about closed ones; and at what is left of a disputed one."""
    for concern in concerns:
        if concern.disputed is not None:
            for payment in lock_payments(session, [concern.disputed]).values():
                revalue(session, payment)
        unpaid = Payment.status.in_(UNPAID)
        concerned = unpaid & Payment.hold.is_not(None) if concern.quiet else unpaid
        review_where(session, concerned, concern, now, rules)
        if concern.stops:
            review_where(session, Payment.next_message_at.is_not(None), concern, now, rules)
            review_where(session, Payment.payment_id.in_(QUEUED), concern, now, rules)


def review_where(
    session: Session,
    condition: ColumnElement[bool],
    concern: Concern,
    now: datetime,
    rules: RetryRules,
) -> None:
    concerned = select(Payment).where(condition, concern.payments)
    review_each(session, concerned, now, rules)


def review_each(
    session: Session, concerned: Select[Payment], now: datetime, rules: RetryRules
) -> None:
    """One after the other and in one order, so that two writers cannot wait for each other."""
    for payment in session.scalars(concerned.order_by(Payment.id).with_for_update()).all():
        review(session, payment, now, rules)
    session.flush()


def review(session: Session, payment: Payment, now: datetime, rules: RetryRules) -> None:
    """The caller holds the row's lock. Looking twice changes nothing."""
    standing = find_standing(session, payment)
    if standing.closed_reason is not None:
        diary.begin(session, payment, rules)
        close(session, payment, standing.closed_reason)
    elif payment.status in UNPAID and standing.hold is not payment.hold:
        diary.begin(session, payment, rules)
        payment.hold = standing.hold
        if attempts.find_unsettled(session, payment) is None:
            schedule(session, payment, now, rules)
        planner.plan_again(session, payment, now)


def close(session: Session, payment: Payment, reason: ClosedReason) -> None:
    """Closed payments may still be written about: not any more."""
    if payment.status in UNPAID:
        move(session, payment, closed(reason))
    cancellation.cancel_messages(session, payment, continue_with(CLOSED_REASONS[reason]))
