"""The outbox to members: at most one message per (payment, step, channel), also after a crash.

Two times are committed before anything is sent: `sending_at`, when the message is taken, and
`dispatched_at`, just before it is sent. A crash between the two has sent nothing. After the second,
an unfinished message may have been sent, so it is never sent again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from db import outboxes
from db.company_settings.messaging import MessagingSettings, read_messaging_settings
from db.company_settings.templates import OwnTemplate, find_template
from db.member_messages.cancellation import skip
from db.member_messages.eligibility import Ineligible, OutOfReach, check_eligibility, choose_channel
from db.member_messages.message_context import MessageContext, build_context
from db.member_messages.put_back import fall_back, requeue
from db.models import Company, Message, Payment
from recovery.delivery import Delivery, DeliveryState
from recovery.message_schedule import LAST_CALL
from recovery.status import Channel, MessageState

CHANNELS = frozenset(Channel)
NEXT = (
    select(Message, Payment, Company)
    .join(Payment, Payment.payment_id == Message.payment_id)
    .join(Company, Company.id == Payment.company_id)
    .where(Message.state == MessageState.QUEUED, Message.due_at <= bindparam("now"))
    .order_by(Message.due_at, Message.id)
    .limit(1)
    .with_for_update(skip_locked=True, of=Message)
)


# --- taking ------------------------------------------------------------------------------------


def count_due(session: Session, now: datetime, most: int) -> int:
    """How many messages are due, counted up to `most`."""
    due = select(Message.id).where(Message.state == MessageState.QUEUED, Message.due_at <= now)
    return session.scalar(select(func.count()).select_from(due.limit(most).subquery())) or 0


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message that is being sent, and how its company wants it written."""

    context: MessageContext
    messaging: MessagingSettings
    template: OwnTemplate | None


def take_message(
    session: Session, now: datetime, channels: Collection[Channel] = CHANNELS
) -> TakenMessage | None:
    """Marks the next due message `sending`; skips those that may not be sent any more.

    `channels`: those that are switched on. None: nothing is due.
    """
    while (found := session.execute(NEXT, {"now": now}).one_or_none()) is not None:
        message, payment, company = found
        messaging, _ = read_messaging_settings(company.settings)
        way = choose_channel(session, message, payment, company, messaging, channels, now)
        if isinstance(way, Channel):
            message.channel = way
            # invariant 7: an email is on disk as sending before it leaves
            message.state, message.sending_at = MessageState.SENDING, now
            context = build_context(session, message, payment, company, now)
            return TakenMessage(
                context, messaging, find_template(session, company.id, context.step)
            )
        postpone_or_skip(session, message, payment, way)
        session.flush()
    return None


def postpone_or_skip(
    session: Session, message: Message, payment: Payment, ineligible: Ineligible
) -> None:
    if ineligible.until is None or ineligible.until > payment.window_ends_at - LAST_CALL:
        skip(session, message, ineligible.reason)
        if isinstance(ineligible, OutOfReach):
            record_out_of_reach(message, ineligible)
    else:
        message.due_at, message.detail = ineligible.until, ineligible.reason


def record_out_of_reach(message: Message, ineligible: OutOfReach) -> None:
    """So that the creator is told: the member has got nothing."""
    message.delivery_failure = ineligible.failure
    if message.refused_by is not None:
        message.state = MessageState.FAILED


# --- sending -----------------------------------------------------------------------------------


def mark_dispatched(session: Session, context: MessageContext, now: datetime) -> bool:
    """The last check before it is sent. False: do not send; the message or its payment has
    changed."""
    message = session.get_one(Message, context.message_id, with_for_update=True)
    if message.state is not MessageState.SENDING or message.sending_at != context.taken_at:
        return False
    payment = session.scalars(select(Payment).where(Payment.payment_id == message.payment_id)).one()
    company = session.get_one(Company, payment.company_id)
    ineligible = check_eligibility(
        session, message, payment, read_messaging_settings(company.settings)[0], now
    )
    if ineligible is not None:
        message.state, message.sending_at = MessageState.QUEUED, None
        postpone_or_skip(session, message, payment, ineligible)
        return False
    message.dispatched_at = now
    message.tries += 1
    return True


def finish_message(
    session: Session, message_id: int, delivery: Delivery, now: datetime
) -> MessageState:
    """Saves the result, also for the messages joined to it. Returns the new state."""
    if delivery.state in (DeliveryState.PUT_OFF, DeliveryState.ACCOUNT_REFUSED):
        return requeue(session, message_id, delivery, now)
    if delivery.state is DeliveryState.ADDRESS_REFUSED:
        return fall_back(session, message_id, delivery, now)
    if delivery.state is DeliveryState.SKIPPED:
        message = session.get_one(Message, message_id, with_for_update=True)
        skip(session, message, delivery.detail or "")
        return message.state
    state = outboxes.finish(
        session, Message, [message_id], delivery, now, provider_id=delivery.provider_id
    )
    session.execute(
        update(Message)
        .where(Message.joined_to == message_id, Message.state == MessageState.JOINED)
        .values(sent_at=now if state is MessageState.SENT else None)
    )
    return state


def give_up_interrupted(session: Session, now: datetime) -> list[int]:
    """For messages that a killed daemon had taken. Those not dispatched are queued again.

    Returns the ids of those that may have been sent; they become `unknown`.
    """
    unknown = outboxes.give_up_interrupted(
        session, Message, now, Message.dispatched_at.is_not(None)
    )
    session.execute(
        outboxes.update_interrupted(Message, now)
        .where(Message.dispatched_at.is_(None))
        .values(state=MessageState.QUEUED, sending_at=None)
    )
    return unknown
