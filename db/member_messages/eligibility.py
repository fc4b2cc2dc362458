"""Whether a due message may be sent now, and by which channel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.company_settings.messaging import MessagingSettings
from db.members import is_disputing
from db.models import Company, Message, Payment, Suppression
from recovery.labels import DELIVERY_FAILURES, REASONS, continue_with, name_end
from recovery.message_schedule import LAST_CALL, SEQUENCES, may_write, postpone_quiet
from recovery.status import Channel, DeliveryFailure, MessageState

UNWANTED = frozenset({DeliveryFailure.SPAM_REPORT, DeliveryFailure.UNSUBSCRIBED})


@dataclass(frozen=True, slots=True)
class Ineligible:
    """Why a message is not sent. `until`: it waits until then; None: it is never sent."""

    reason: str
    until: datetime | None = None


def choose_channel(
    session: Session,
    message: Message,
    payment: Payment,
    company: Company,
    messaging: MessagingSettings,
    channels: Collection[Channel],
    now: datetime,
) -> Channel | Ineligible:
    if (ineligible := check_eligibility(session, message, payment, messaging, now)) is not None:
        return ineligible
    channel = find_channel(session, payment, messaging, channels)
    if isinstance(channel, Ineligible):
        return channel
    return find_wait(session, company, messaging, now) or channel


def check_eligibility(
    session: Session,
    message: Message,
    payment: Payment,
    messaging: MessagingSettings,
    now: datetime,
) -> Ineligible | None:
    """What forbids it on every channel and at every hour. None: nothing."""
    if not may_write(payment.status, payment.closed_reason):
        return Ineligible(continue_with(name_end(payment.status, payment.closed_reason)))
    if message.step not in SEQUENCES[payment.decline_class]:
        return Ineligible(f"the reason is now: {continue_with(REASONS[payment.decline_class])}")
    if now > payment.window_ends_at - LAST_CALL:
        return Ineligible("it would have arrived after the deadline")
    if is_disputing(session, payment):
        return Ineligible("the member disputes a payment")
    if not messaging.enabled:
        return Ineligible("messages to members are off")
    return None


def find_channel(
    session: Session, payment: Payment, messaging: MessagingSettings, channels: Collection[Channel]
) -> Channel | Ineligible:
    """The company's preferred channel, or the other one where that cannot reach the member."""
    address = payment.member_email
    failure = is_suppressed(session, payment.company_id, address) if address else None
    if failure in UNWANTED:
        return Ineligible("the member unsubscribed or reported spam")
    chat = Channel.WHOP in channels and payment.user_id is not None
    if chat and messaging.channel is Channel.WHOP:
        return Channel.WHOP
    if Channel.EMAIL not in channels:
        return Ineligible("email is switched off")
    if address and failure is None:
        return Channel.EMAIL
    if chat:
        return Channel.WHOP
    if failure is None:
        return Ineligible("no email address is known")
    return Ineligible(
        f"the email address does not work: {continue_with(DELIVERY_FAILURES[failure])}"
    )


def is_suppressed(session: Session, company_id: str, address: str) -> DeliveryFailure | None:
    """Why the address gets no emails. None: it may get some."""
    found = session.get(Suppression, (company_id, address.lower()), populate_existing=True)
    return None if found is None else found.reason


def find_wait(
    session: Session, company: Company, messaging: MessagingSettings, now: datetime
) -> Ineligible | None:
    """Whether it waits for the quiet hours or the daily cap. None: it does not wait."""
    zone = ZoneInfo(company.time_zone)
    morning = postpone_quiet(now, zone, messaging.quiet_from, messaging.quiet_until)
    if morning > now:
        return Ineligible("waiting for the end of quiet hours", morning)
    # Others who take a message of this company wait here, so that the count stays right.
    session.scalars(
        select(Company.id).where(Company.id == company.id).with_for_update(key_share=True)
    ).one()
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    used = session.scalar(
        select(func.count()).where(
            Message.company_id == company.id,
            (Message.dispatched_at >= midnight) | (Message.state == MessageState.SENDING),
        )
    )
    if (used or 0) < messaging.daily_cap:
        return None
    tomorrow = datetime.combine(midnight.date() + timedelta(1), time(), zone)
    until = postpone_quiet(tomorrow, zone, messaging.quiet_from, messaging.quiet_until)
    return Ineligible("waiting because the daily limit is reached", until)
