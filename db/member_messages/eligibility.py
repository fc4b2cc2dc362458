"""Why a message that is due is not sent, or not yet, and by which channel it goes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.company_settings.messaging import Manners
from db.members import is_disputing
from db.models import Company, Message, Payment, Suppression
from recovery.message_schedule import LAST_CALL, SEQUENCES, may_write, postpone_quiet
from recovery.status import Channel, MailTrouble, MessageState

UNWANTED = frozenset({MailTrouble.SPAM_REPORT, MailTrouble.UNSUBSCRIBED})


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a message is not sent. With `until` it waits."""

    reason: str
    until: datetime | None = None


def choose_way(
    session: Session,
    message: Message,
    payment: Payment,
    company: Company,
    manners: Manners,
    channels: Collection[Channel],
    now: datetime,
) -> Channel | Obstacle:
    """How it goes, or why it does not, or not yet."""
    if (obstacle := find_obstacle(session, message, payment, manners, now)) is not None:
        return obstacle
    channel = find_channel(session, payment, manners, channels)
    if isinstance(channel, Obstacle):
        return channel
    return find_wait(session, company, manners, now) or channel


def find_obstacle(
    session: Session, message: Message, payment: Payment, manners: Manners, now: datetime
) -> Obstacle | None:
    """What forbids it on any channel and at any hour."""
    if not may_write(payment.status, payment.closed_reason):
        return Obstacle(f"the payment is {payment.closed_reason or payment.status}")
    if message.step not in SEQUENCES[payment.decline_class]:
        return Obstacle(f"the reason is now {payment.decline_class}")
    if now > payment.window_ends_at - LAST_CALL:
        return Obstacle("it would have come too late")
    if is_disputing(session, payment):
        return Obstacle("the member disputes a payment")
    if not manners.enabled:
        return Obstacle("the company sends no messages")
    return None


def find_channel(
    session: Session, payment: Payment, manners: Manners, channels: Collection[Channel]
) -> Channel | Obstacle:
    """As the company prefers; the other one where that cannot reach the member."""
    address = payment.member_email
    trouble = is_suppressed(session, payment.company_id, address) if address else None
    if trouble in UNWANTED:
        return Obstacle("the member wants no more messages")
    chat = Channel.WHOP in channels and payment.user_id is not None
    if chat and manners.channel is Channel.WHOP:
        return Channel.WHOP
    if Channel.EMAIL not in channels:
        return Obstacle("e-mail is switched off")
    if address and trouble is None:
        return Channel.EMAIL
    if chat:
        return Channel.WHOP
    return Obstacle(f"mail to it has {trouble}" if trouble else "no e-mail address is known")


def is_suppressed(session: Session, company_id: str, address: str) -> MailTrouble | None:
    """Why no mail may go there; None: one may."""
    found = session.get(Suppression, (company_id, address.lower()), populate_existing=True)
    return None if found is None else found.reason


def find_wait(
    session: Session, company: Company, manners: Manners, now: datetime
) -> Obstacle | None:
    """Quiet hours, and the day's quota."""
    zone = ZoneInfo(company.time_zone)
    morning = postpone_quiet(now, zone, manners.quiet_from, manners.quiet_until)
    if morning > now:
        return Obstacle("it came due in the quiet hours", morning)
    # Whoever takes a message of the same company waits, so that the count holds.
    session.scalars(
        select(Company.id).where(Company.id == company.id).with_for_update(key_share=True)
    ).one()
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    used = session.scalar(
        select(func.count()).where(
            Message.company_id == company.id,
            (Message.posted_at >= midnight) | (Message.state == MessageState.SENDING),
        )
    )
    if (used or 0) < manners.daily_cap:
        return None
    tomorrow = datetime.combine(midnight.date() + timedelta(1), time(), zone)
    until = postpone_quiet(tomorrow, zone, manners.quiet_from, manners.quiet_until)
    return Obstacle("the day's quota is used up", until)
