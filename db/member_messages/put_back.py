"""What becomes of a message that was surely not taken: it is queued again, or has failed."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.member_messages.account_refusals import TRY_AGAIN_AFTER
from db.models import Message, Payment
from recovery.delivery import Delivery, DeliveryState
from recovery.message_schedule import LAST_CALL
from recovery.status import MessageState

BACKOFF, LONGEST_BACKOFF = timedelta(minutes=5), timedelta(hours=2)


def requeue(session: Session, message_id: int, delivery: Delivery, now: datetime) -> MessageState:
    """Queues it again, later each time or as late as the service asks; if that is too late for the
    window, it has failed. Returns the new state."""
    message = session.get_one(Message, message_id, with_for_update=True)
    if delivery.state is DeliveryState.ACCOUNT_REFUSED:
        due_at = now + TRY_AGAIN_AFTER
    else:
        wait = min(BACKOFF * 2 ** (message.tries - 1), LONGEST_BACKOFF)
        due_at = now + max(wait, delivery.retry_after or wait)
    message.dispatched_at, message.detail = None, delivery.detail
    ends = select(Payment.window_ends_at).where(Payment.payment_id == message.payment_id)
    if due_at > session.scalars(ends).one() - LAST_CALL:
        message.state = MessageState.FAILED
        message.detail = f"{delivery.detail}; then the deadline passed"
    else:
        message.state, message.due_at = MessageState.QUEUED, due_at
    return message.state


def fall_back(session: Session, message_id: int, delivery: Delivery, now: datetime) -> MessageState:
    """Queues it for the other channel, since nothing has left by this one. Returns the new state.

    It stays the same row, so that a crash at any moment leaves one message of this step: what may
    have left is `unknown`, and never sent by either channel.
    """
    message = session.get_one(Message, message_id, with_for_update=True)
    message.dispatched_at, message.detail = None, delivery.detail
    if message.refused_by is not None:
        message.state = MessageState.FAILED
    else:
        message.state, message.due_at, message.refused_by = (
            MessageState.QUEUED,
            now,
            message.channel,
        )
    return message.state
