"""Whether a due message may be sent now, and by which channel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import card_bans
from db.company_settings.addresses import find_address
from db.company_settings.messaging import MessagingSettings
from db.company_settings.time_zones import read_zone
from db.member_messages.account_refusals import claim_try
from db.members import find_standing
from db.models import Company, Message, Payment, Suppression
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure
from recovery.labels import (
    CHANNELS,
    CLOSED_REASONS,
    DELIVERY_FAILURES,
    HOLDS,
    REASONS,
    continue_with,
    name_end,
)
from recovery.message_schedule import LAST_CALL, SEQUENCES, may_write, postpone_quiet
from recovery.standing import Standing
from recovery.status import Channel, MessageState, Step

# A message about a payment on hold waits this long before it is looked at again.
LOOK_AGAIN = timedelta(hours=1)
UNWANTED = frozenset({DeliveryFailure.SPAM_REPORT, DeliveryFailure.UNSUBSCRIBED})


@dataclass(frozen=True, slots=True)
class Ineligible:
    """Why a message is not sent. `until`: it waits until then; None: it is never sent."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutOfReach(Ineligible):
    """No channel reaches the member. `failure`: why their address gets no emails, if it is that."""

    failure: DeliveryFailure | None = None


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
    channel = find_channel(session, payment, messaging, channels, message.refused_by)
    if isinstance(channel, Ineligible):
        return channel
    wait = find_wait(session, company, messaging, now)
    return wait or find_account_wait(session, channel, company, now) or channel


def check_eligibility(
    session: Session,
    message: Message,
    payment: Payment,
    messaging: MessagingSettings,
    now: datetime,
) -> Ineligible | None:
    """What forbids it on every channel and at every hour. None: nothing."""
    # invariant 11: facts are looked at just before a message
    standing = find_standing(session, payment)
    decline_class = card_bans.find_decline(session, payment).decline_class
    return judge_eligibility(message.step, payment, standing, decline_class, messaging, now)


def judge_eligibility(
    step: Step,
    payment: Payment,
    standing: Standing,
    decline_class: DeclineClass,
    messaging: MessagingSettings,
    now: datetime,
) -> Ineligible | None:
    """The same, where the facts are known."""
    if not payment.amount:
        return Ineligible("nothing is owed")
    if not may_write(payment.status, payment.closed_reason):
        return Ineligible(continue_with(name_end(payment.status, payment.closed_reason)))
    if step not in SEQUENCES[decline_class]:
        return Ineligible(f"the reason is now: {continue_with(REASONS[decline_class])}")
    if now > payment.window_ends_at - LAST_CALL:
        return Ineligible("it would have arrived after the deadline")
    if standing.closed_reason is not None:
        return Ineligible(continue_with(CLOSED_REASONS[standing.closed_reason]))
    if standing.hold is not None:
        return Ineligible(continue_with(HOLDS[standing.hold]), now + LOOK_AGAIN)
    if not messaging.enabled:
        return Ineligible("messages to members are off")
    return None


def find_channel(
    session: Session,
    payment: Payment,
    messaging: MessagingSettings,
    channels: Collection[Channel],
    refused_by: Channel | None = None,
) -> Channel | Ineligible:
    address = find_address(payment.member_email)
    failure = is_suppressed(session, payment.company_id, address) if address else None
    return judge_channel(payment, failure, messaging, channels, refused_by)


def judge_channel(
    payment: Payment,
    failure: DeliveryFailure | None,
    messaging: MessagingSettings,
    channels: Collection[Channel],
    refused_by: Channel | None = None,
) -> Channel | Ineligible:
    """The company's preferred channel, or the other one where that cannot reach the member.

    `failure`: why the member's address gets no emails. `refused_by`: the channel that has refused
    this message because of the member.
    """
    address = find_address(payment.member_email)
    if failure in UNWANTED:
        return Ineligible("the member unsubscribed or reported spam")
    chat = (
        Channel.WHOP in channels and payment.user_id is not None and refused_by is not Channel.WHOP
    )
    if chat and messaging.channel is Channel.WHOP:
        return Channel.WHOP
    if Channel.EMAIL not in channels:
        return Ineligible("email is switched off")
    if address and failure is None and refused_by is not Channel.EMAIL:
        return Channel.EMAIL
    if chat:
        return Channel.WHOP
    if refused_by is not None:
        return OutOfReach(f"{CHANNELS[refused_by]} does not reach the member, and nothing else can")
    if failure is None:
        return OutOfReach("no working email address is known")
    why = continue_with(DELIVERY_FAILURES[failure])
    return OutOfReach(f"the email address does not work: {why}", failure=failure)


def is_suppressed(session: Session, company_id: str, address: str) -> DeliveryFailure | None:
    """Why the address gets no emails. None: it may get some."""
    found = session.get(Suppression, (company_id, address.lower()), populate_existing=True)
    return None if found is None else found.reason


def list_suppressed(
    session: Session, company_id: str, addresses: Collection[str]
) -> dict[str, DeliveryFailure]:
    """The same for many addresses: those that get no emails, in lower case."""
    lowered = {address.lower() for address in addresses}
    if not lowered:
        return {}
    found = session.execute(
        select(Suppression.address, Suppression.reason).where(
            Suppression.company_id == company_id, Suppression.address.in_(lowered)
        )
    )
    return {row.address: row.reason for row in found}


def find_account_wait(
    session: Session, channel: Channel, company: Company, now: datetime
) -> Ineligible | None:
    """Whether it waits until the account works again. None: it does not wait."""
    refusal = claim_try(session, channel, company.id, now)
    return None if refusal is None else Ineligible(refusal.detail, refusal.try_at)


def find_wait(
    session: Session, company: Company, messaging: MessagingSettings, now: datetime
) -> Ineligible | None:
    """Whether it waits for the quiet hours or the daily cap. None: it does not wait."""
    zone = read_zone(session, company.time_zone)
    morning = postpone_quiet(now, zone, messaging.quiet_from, messaging.quiet_until)
    if morning > now:
        return Ineligible("waiting for the end of quiet hours", morning)
    # Others who take a message of this company wait here, so that the count stays right.
    session.scalars(
        select(Company.id).where(Company.id == company.id).with_for_update(key_share=True)
    ).one()
    until = find_full_until(session, company, messaging, now)
    if until is None:
        return None
    return Ineligible("waiting because the daily limit is reached", until)


def find_full_until(
    session: Session, company: Company, messaging: MessagingSettings, now: datetime
) -> datetime | None:
    """When messages go on where today's daily limit is used up. None: it is not."""
    zone = read_zone(session, company.time_zone)
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
    return postpone_quiet(tomorrow, zone, messaging.quiet_from, messaging.quiet_until)
