"""Which messages a member has got already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.members import identify_member, is_of_member
from db.models import Message, Payment
from recovery.message_schedule import GAP
from recovery.status import MessageState, Step

COUNTED = (MessageState.QUEUED, MessageState.SENDING, MessageState.SENT, MessageState.UNKNOWN)


def find_written_steps(session: Session, payments: Sequence[Payment]) -> dict[str, frozenset[Step]]:
    ids = [payment.payment_id for payment in payments]
    found = session.execute(
        select(Message.payment_id, Message.step).where(Message.payment_id.in_(ids))
    ).all()
    return {i: frozenset(row.step for row in found if row.payment_id == i) for i in ids}


def find_last_message_at(session: Session, payment: Payment, now: datetime) -> datetime | None:
    """When the member last got a message from the company, or will get the one that is queued.

    None: not within GAP.
    """
    return session.scalar(
        select(func.max(func.coalesce(Message.dispatched_at, Message.due_at)))
        .join(Payment, Payment.payment_id == Message.payment_id)
        .where(
            Message.company_id == payment.company_id,
            Message.state.in_(COUNTED),
            # Each has an index of its own.
            (Message.dispatched_at > now - GAP)
            | (Message.state == MessageState.QUEUED)
            | (Message.state == MessageState.SENDING),
            is_of_member(identify_member(payment)),
        )
    )
