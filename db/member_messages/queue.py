"""Messages to members: at most one per (payment, step, channel), whatever crashes.

Two marks are committed before anything leaves: `sending_at`, the message is taken, and `posted_at`,
it is about to leave. A crash between the two is known to have sent nothing. After the second one
whatever is found unfinished may have gone out, and is never sent again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from db.company_settings.messaging import read_manners
from db.member_messages.eligibility import Obstacle, find_channel, find_obstacle, find_wait
from db.models import Company, Message, Payment
from recovery.declines import DeclineClass
from recovery.message_schedule import LAST_CALL, may_write
from recovery.status import Channel, MessageState, Step

INTERRUPTED = timedelta(minutes=10)
BACKOFF, LONGEST_BACKOFF = timedelta(minutes=5), timedelta(hours=2)
CHANNELS = frozenset(Channel)
NOT_YET = (MessageState.QUEUED, MessageState.JOINED)


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
    step: Step
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
    channel: Channel = Channel.EMAIL
    user_id: str | None = None
    taken_at: datetime | None = None


# --- taking ------------------------------------------------------------------------------------


def count_due(session: Session, now: datetime, most: int) -> int:
    """How many messages are due; `most` is counted to."""
    due = select(Message.id).where(Message.state == MessageState.QUEUED, Message.due_at <= now)
    return session.scalar(select(func.count()).select_from(due.limit(most).subquery())) or 0


def take_letter(
    session: Session, now: datetime, channels: Collection[Channel] = CHANNELS
) -> Letter | None:
    """Marks the next due message `sending`, skipping those that no longer make sense. `channels`:
    those that are switched on."""
    while True:
        found = session.execute(
            select(Message, Payment, Company)
            .join(Payment, Payment.payment_id == Message.payment_id)
            .join(Company, Company.id == Payment.company_id)
            .where(Message.state == MessageState.QUEUED, Message.due_at <= now)
            .order_by(Message.due_at, Message.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=Message)
        ).one_or_none()
        if found is None:
            return None
        message, payment, company = found
        manners = read_manners(company.settings)
        channel = find_channel(session, payment, manners, channels)
        obstacle = (
            find_obstacle(session, message, payment, manners, now)
            or (channel if isinstance(channel, Obstacle) else None)
            or find_wait(session, company, manners, now)
        )
        if obstacle is None and isinstance(channel, Channel):
            message.channel = channel
            message.state, message.sending_at = MessageState.SENDING, now
            return write_letter(session, message, payment, company)
        assert obstacle is not None
        if obstacle.until is None or obstacle.until > payment.window_ends_at - LAST_CALL:
            skip(session, message, obstacle.reason)
        else:
            message.due_at, message.detail = obstacle.until, obstacle.reason
        session.flush()


def write_letter(session: Session, message: Message, payment: Payment, company: Company) -> Letter:
    others = session.scalars(
        select(Payment)
        .join(Message, Message.payment_id == Payment.payment_id)
        .where(Message.joined_to == message.id, Message.state == MessageState.JOINED)
        .order_by(Payment.failed_at)
    )
    owed = (
        Owed(other.product, other.amount, other.currency)
        for other in others
        if may_write(other.status, other.closed_reason)
    )
    letter = describe_letter(message.step, payment, company.time_zone, tuple(owed))
    return replace(
        letter, message_id=message.id, channel=message.channel, taken_at=message.sending_at
    )


def describe_letter(
    step: Step, payment: Payment, time_zone: str, others: tuple[Owed, ...] = ()
) -> Letter:
    """What would be said of it now; it belongs to no message yet."""
    return Letter(
        message_id=0,
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        step=step,
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
        time_zone=time_zone,
        others=others,
        user_id=payment.user_id,
    )


# --- sending -----------------------------------------------------------------------------------


def mark_posted(session: Session, letter: Letter, now: datetime) -> bool:
    """The last look before it leaves. False: do not send; the message or its payment has moved."""
    message = session.get_one(Message, letter.message_id, with_for_update=True)
    if message.state is not MessageState.SENDING or message.sending_at != letter.taken_at:
        return False
    payment = session.scalars(select(Payment).where(Payment.payment_id == message.payment_id)).one()
    company = session.get_one(Company, payment.company_id)
    obstacle = find_obstacle(session, message, payment, read_manners(company.settings), now)
    if obstacle is not None:
        skip(session, message, obstacle.reason)
        return False
    message.posted_at = now
    message.tries += 1
    return True


def finish_letter(
    session: Session,
    message_id: int,
    state: MessageState,
    now: datetime,
    *,
    provider_id: str | None = None,
    detail: str | None = None,
) -> None:
    """What came of it, for those that it spoke for as well."""
    message = session.get_one(Message, message_id, with_for_update=True)
    message.state, message.provider_id, message.detail = state, provider_id, detail
    message.sent_at = now if state is MessageState.SENT else None
    session.execute(
        update(Message)
        .where(Message.joined_to == message_id, Message.state == MessageState.JOINED)
        .values(sent_at=message.sent_at)
    )


def put_back(
    session: Session,
    message_id: int,
    now: datetime,
    detail: str,
    retry_after: timedelta | None = None,
) -> None:
    """Only where the mail service has said that it did not take it."""
    message = session.get_one(Message, message_id, with_for_update=True)
    wait = min(BACKOFF * 2 ** (message.tries - 1), LONGEST_BACKOFF)
    due_at = now + max(wait, retry_after or wait)
    message.posted_at, message.detail = None, detail
    ends = select(Payment.window_ends_at).where(Payment.payment_id == message.payment_id)
    if due_at > session.scalars(ends).one() - LAST_CALL:
        message.state, message.detail = MessageState.FAILED, f"{detail}; then it was too late"
    else:
        message.state, message.due_at, message.sending_at = MessageState.QUEUED, due_at, None


def give_up_interrupted(session: Session, now: datetime) -> list[int]:
    """A daemon was killed. What it had not begun to send is sent by another one. Returns those of
    which nobody knows."""
    interrupted = update(Message).where(
        Message.state == MessageState.SENDING, Message.sending_at < now - INTERRUPTED
    )
    unknown = session.scalars(
        interrupted.where(Message.posted_at.is_not(None))
        .values(state=MessageState.UNKNOWN, detail="interrupted while sending")
        .returning(Message.id)
    ).all()
    session.execute(
        interrupted.where(Message.posted_at.is_(None)).values(
            state=MessageState.QUEUED, sending_at=None
        )
    )
    return list(unknown)


# --- taking back -------------------------------------------------------------------------------


def skip(session: Session, message: Message, reason: str) -> None:
    """Of those that it would have spoken for, the first speaks instead."""
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


def silence(session: Session, payment: Payment, reason: str) -> None:
    """Nothing more is said about it: not what is planned, not what is queued."""
    payment.next_step = payment.next_message_at = None
    with session.no_autoflush:  # it may be half changed
        waiting = session.scalars(
            select(Message)
            .where(Message.payment_id == payment.payment_id, Message.state.in_(NOT_YET))
            .order_by(Message.id)
            .with_for_update()
        ).all()
    for message in waiting:
        lead = session.get(Message, message.joined_to) if message.joined_to else message
        if lead is not None and lead.state is MessageState.QUEUED:
            skip(session, message, reason)


def silence_all(session: Session, whose: ColumnElement[bool], reason: str) -> None:
    """The same for payments that are closed already but could still be paid."""
    planned = select(Payment).where(whose, Payment.next_message_at.is_not(None))
    queued = (
        select(Payment)
        .join(Message, Message.payment_id == Payment.payment_id)
        .where(whose, Message.state == MessageState.QUEUED)
    )
    for payments in (planned, queued):
        for payment in session.scalars(payments.order_by(Payment.id).with_for_update(of=Payment)):
            silence(session, payment, reason)
