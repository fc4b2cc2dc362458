"""Which messages a member has got already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from db.members import COLUMNS, Member, identify_member, is_of_member
from db.models import Message, Payment
from recovery.message_schedule import GAP
from recovery.status import MessageState, Step

COUNTED = (MessageState.QUEUED, MessageState.SENDING, MessageState.SENT, MessageState.UNKNOWN)
LAST_AT = func.max(func.coalesce(Message.dispatched_at, Message.due_at))


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
        select(LAST_AT)
        .join(Payment, Payment.payment_id == Message.payment_id)
        .where(is_recent(payment.company_id, now), is_of_member(identify_member(payment)))
    )


def find_last_messages(
    session: Session, payments: Sequence[Payment], now: datetime
) -> dict[Member, datetime]:
    """The same for the members of many payments of one company."""
    found: dict[Member, datetime] = {}
    members = {identify_member(payment) for payment in payments}
    for name in {member.name for member in members}:
        column = COLUMNS[name]
        values = [member.value for member in members if member.name == name]
        rows = session.execute(
            select(column, LAST_AT)
            .join(Payment, Payment.payment_id == Message.payment_id)
            .where(is_recent(payments[0].company_id, now), column.in_(values))
            .group_by(column)
        )
        found |= {Member(payments[0].company_id, name, value): at for value, at in rows}
    return found


def is_recent(company_id: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        Message.company_id == company_id,
        Message.state.in_(COUNTED),
        # Each has an index of its own.
        or_(
            Message.dispatched_at > now - GAP,
            Message.state == MessageState.QUEUED,
            Message.state == MessageState.SENDING,
        ),
    )
