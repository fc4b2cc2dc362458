"""Messages to members: at most one per (payment, step, channel), whatever crashes.

A row is committed `sending` before anything leaves. Whatever is found in that state later was
interrupted, may have gone out, and is never sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.declines import DeclineClass
from db.models import Message, Payment
from db.status import UNPAID, Channel, MessageState

# A mail about yesterday's failure helps nobody; e-mail switched on later must not send a backlog.
STALE = timedelta(hours=24)
INTERRUPTED = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Owed:
    """Another open payment of the same member, told of in the same message."""

    product: str | None
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message in hand, with what its text needs."""

    message_id: int
    payment_id: str
    company_id: str
    step: str
    address: str
    member_name: str | None
    membership_id: str | None
    amount: Decimal
    currency: str
    reason: str
    decline_class: DeclineClass
    decline_code: str | None
    card_brand: str | None
    card_last4: str | None
    product: str | None
    next_retry_at: datetime | None
    window_ends_at: datetime
    recovery_url: str | None
    time_zone: str = "UTC"
    others: tuple[Owed, ...] = ()


DUE = (
    select(Payment)
    .where(Payment.next_message_at <= bindparam("now"))
    .order_by(Payment.next_message_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
MOST_AT_ONCE = 200


def queue_due(session: Session, now: datetime) -> int:
    """Writes the messages that have come due, and plans each payment's next one. Returns how many
    payments were looked at; fewer than MOST_AT_ONCE: there are no more."""
    due = session.scalars(DUE, {"now": now, "limit": MOST_AT_ONCE}).all()
    for payment in due:
        session.execute(
            insert(Message).on_conflict_do_nothing(),
            {
                "payment_id": payment.payment_id,
                "company_id": payment.company_id,
                "step": payment.next_step,
                "channel": Channel.EMAIL,
                "state": MessageState.QUEUED,
                "due_at": payment.next_message_at,
            },
        )
        payment.next_step = payment.next_message_at = None
    return len(due)


def take_letter(session: Session, now: datetime) -> Letter | None:
    """Marks the next due message `sending`, skipping those that no longer make sense."""
    while True:
        found = session.execute(
            select(Message, Payment)
            .join(Payment, Payment.payment_id == Message.payment_id)
            .where(Message.state == MessageState.QUEUED, Message.due_at <= now)
            .order_by(Message.due_at)
            .limit(1)
            .with_for_update(skip_locked=True, of=Message)
        ).one_or_none()
        if found is None:
            return None
        message, payment = found
        reason = find_obstacle(message, payment, now)
        if reason is None:
            message.state, message.sending_at = MessageState.SENDING, now
            return write_letter(message, payment)
        message.state, message.detail = MessageState.SKIPPED, reason
        session.flush()


def find_obstacle(message: Message, payment: Payment, now: datetime) -> str | None:
    if payment.status not in UNPAID:
        return f"the payment is {payment.status}"
    if not payment.member_email:
        return "no e-mail address is known"
    if now - message.due_at > STALE:
        return "it would have come more than a day late"
    return None


def write_letter(message: Message, payment: Payment) -> Letter:
    return Letter(
        message_id=message.id,
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        step=message.step,
        address=payment.member_email or "",
        member_name=payment.member_name,
        membership_id=payment.membership_id,
        amount=payment.amount,
        currency=payment.currency,
        reason=payment.reason,
        decline_class=payment.decline_class,
        decline_code=payment.decline_code,
        card_brand=payment.card_brand,
        card_last4=payment.card_last4,
        product=payment.product,
        next_retry_at=payment.next_retry_at,
        window_ends_at=payment.window_ends_at,
        recovery_url=payment.recovery_url,
    )


def finish_letter(
    session: Session,
    message_id: int,
    state: MessageState,
    now: datetime,
    *,
    provider_id: str | None = None,
    detail: str | None = None,
) -> None:
    message = session.get_one(Message, message_id, with_for_update=True)
    message.state, message.provider_id, message.detail = state, provider_id, detail
    message.sent_at = now if state is MessageState.SENT else None


def put_back(session: Session, message_id: int, due_at: datetime, detail: str) -> None:
    """Only where the mail service has said that it did not take it."""
    message = session.get_one(Message, message_id, with_for_update=True)
    message.state, message.due_at, message.detail = MessageState.QUEUED, due_at, detail


def give_up_interrupted(session: Session, now: datetime) -> None:
    session.execute(
        update(Message)
        .where(Message.state == MessageState.SENDING, Message.sending_at < now - INTERRUPTED)
        .values(state=MessageState.UNKNOWN, detail="interrupted while sending")
    )


def skip_queued(session: Session, now: datetime, reason: str) -> None:
    session.execute(
        update(Message)
        .where(Message.state == MessageState.QUEUED, Message.due_at <= now)
        .values(state=MessageState.SKIPPED, detail=reason)
    )
