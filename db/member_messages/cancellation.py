"""Takes back messages to members that are planned or queued."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.models import Message, Payment
from recovery.status import MessageState

WAITING = (MessageState.QUEUED, MessageState.JOINED)


def skip(session: Session, message: Message, reason: str) -> None:
    """Marks it skipped. Of the messages joined to it, the first one takes its place."""
    message.state, message.detail = MessageState.SKIPPED, reason
    joined = session.scalars(
        select(Message)
        .where(Message.joined_to == message.id, Message.state == MessageState.JOINED)
        .order_by(Message.id)
        .with_for_update()
    ).all()
    for other in joined[:1]:
        other.state, other.joined_to = MessageState.QUEUED, None
        other.due_at = message.due_at
    for other in joined[1:]:
        other.joined_to = joined[0].id


def cancel_messages(session: Session, payment: Payment, reason: str) -> None:
    """Cancels what is planned and what is queued about this payment."""
    payment.next_step = payment.next_message_at = None
    # The payment may be half changed.
    with session.no_autoflush:
        waiting = session.scalars(
            select(Message)
            .where(Message.payment_id == payment.payment_id, Message.state.in_(WAITING))
            .order_by(Message.id)
            .with_for_update()
        ).all()
    for message in waiting:
        lead = session.get(Message, message.joined_to) if message.joined_to else message
        if lead is not None and lead.state is MessageState.QUEUED:
            skip(session, message, reason)


def cancel_all_messages(session: Session, whose: ColumnElement[bool], reason: str) -> None:
    """Cancels the messages of all these payments, also of closed ones."""
    planned = select(Payment).where(whose, Payment.next_message_at.is_not(None))
    queued = (
        select(Payment)
        .join(Message, Message.payment_id == Payment.payment_id)
        .where(whose, Message.state == MessageState.QUEUED)
    )
    for payments in (planned, queued):
        for payment in session.scalars(payments.order_by(Payment.id).with_for_update(of=Payment)):
            cancel_messages(session, payment, reason)
