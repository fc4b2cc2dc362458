"""What the text of a message needs to know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.company_settings.addresses import find_address
from db.company_settings.time_zones import read_zone
from db.models import Company, Message, Payment
from recovery.declines import DeclineClass
from recovery.message_schedule import may_write
from recovery.status import Channel, MessageState, Step


@dataclass(frozen=True, slots=True)
class OpenAmount:
    """Another open payment of the same member, named in the same message."""

    product: str | None
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class MessageContext:
    """One message that is being sent, with what its text needs.

    `written_at`: when its text is made, so that it tells of nothing that is over by then.
    `taken_at`: when it was taken to be sent; None: it is a preview.
    """

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
    instrument_name: str | None
    card_brand: str | None
    card_last4: str | None
    product: str | None
    next_retry_at: datetime | None
    window_ends_at: datetime
    recovery_url: str | None
    written_at: datetime
    time_zone: str = "UTC"
    others: tuple[OpenAmount, ...] = ()
    channel: Channel = Channel.EMAIL
    user_id: str | None = None
    taken_at: datetime | None = None


def build_context(
    session: Session, message: Message, payment: Payment, company: Company, now: datetime
) -> MessageContext:
    others = session.scalars(
        select(Payment)
        .join(Message, Message.payment_id == Payment.payment_id)
        .where(Message.joined_to == message.id, Message.state == MessageState.JOINED)
        .order_by(Payment.failed_at)
    )
    owed = (
        OpenAmount(other.product, other.amount, other.currency)
        for other in others
        if may_write(other.status, other.closed_reason)
    )
    zone = read_zone(session, company.time_zone)
    context = describe_context(message.step, payment, zone.key, now, tuple(owed))
    return replace(
        context, message_id=message.id, channel=message.channel, taken_at=message.sending_at
    )


def describe_context(
    step: Step,
    payment: Payment,
    time_zone: str,
    now: datetime,
    others: tuple[OpenAmount, ...] = (),
) -> MessageContext:
    """The context that a message would have now. `message_id` is 0, since there is no message
    yet."""
    return MessageContext(
        message_id=0,
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        step=step,
        address=find_address(payment.member_email) or "",
        member_name=payment.member_name,
        membership_id=payment.membership_id,
        amount=payment.amount,
        currency=payment.currency,
        reason=payment.reason,
        decline_class=payment.decline_class,
        decline_code=payment.decline_code,
        instrument_name=payment.instrument_name,
        card_brand=payment.card_brand,
        card_last4=payment.card_last4,
        product=payment.product,
        next_retry_at=payment.next_retry_at,
        window_ends_at=payment.window_ends_at,
        recovery_url=payment.recovery_url,
        written_at=now,
        time_zone=time_zone,
        others=others,
        user_id=payment.user_id,
    )
