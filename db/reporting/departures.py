"""When the next message about a payment really leaves, or why none does: what the daemon's planner
and outbox will decide, by what is known now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db.card_bans import judge_decline, list_bans_of
from db.company_settings.addresses import find_address
from db.company_settings.messaging import MessagingSettings
from db.member_messages.eligibility import (
    Ineligible,
    judge_channel,
    judge_eligibility,
    list_suppressed,
)
from db.member_messages.history import find_last_messages
from db.member_messages.schedule import describe_schedule
from db.members import Member, find_standings, identify_member
from db.models import Company, Payment
from recovery.delivery import DeliveryFailure
from recovery.message_schedule import (
    SEQUENCES,
    PlannedMessage,
    ScheduleContext,
    foretell_departure,
    plan_next,
)
from recovery.payment_methods import Ban
from recovery.standing import Standing
from recovery.status import Channel, Step

HELD_OUT = "this member is in the control group"
IMPORTED = "it failed before you installed this"


@dataclass(frozen=True, slots=True)
class Sending:
    """How a company sends. `company` is kept so that the session keeps it too, and asks for it
    once. `full_until`: from when on, where today's limit is used up."""

    company: Company
    messaging: MessagingSettings
    channels: Collection[Channel]
    full_until: datetime | None


@dataclass(frozen=True, slots=True)
class Prospects:
    """What is known of the payments whose next message is looked for, and of their members."""

    standings: Mapping[str, Standing]
    bans: Mapping[str, Sequence[Ban]]
    suppressed: Mapping[str, DeliveryFailure]
    last_message_at: Mapping[Member, datetime]


@dataclass(frozen=True, slots=True)
class Departure:
    """The next message with the time at which it leaves, or why there is none, in words. Neither:
    no more are meant to be sent."""

    message: PlannedMessage | None
    silence: str | None


def gather_prospects(
    session: Session, company_id: str, payments: Sequence[Payment], now: datetime
) -> Prospects:
    """In a few queries, however many payments they are."""
    addresses = [find_address(payment.member_email) for payment in payments]
    return Prospects(
        standings=find_standings(session, payments),
        bans=list_bans_of(session, payments),
        suppressed=list_suppressed(session, company_id, [one for one in addresses if one]),
        last_message_at=find_last_messages(session, payments, now),
    )


def foretell_message(
    session: Session,
    payment: Payment,
    written: frozenset[Step],
    queued: PlannedMessage | None,
    sending: Sending,
    known: Prospects,
    now: datetime,
) -> Departure:
    step = find_coming(payment, written, queued)
    if step is None:
        return Departure(None, None)
    if (silence := find_silence(payment, step, sending, known, now)) is not None:
        return Departure(None, silence)
    last_message_at = known.last_message_at.get(identify_member(payment))
    context = describe_schedule(session, payment, written, last_message_at)
    if queued is not None:
        due: PlannedMessage | None = PlannedMessage(queued.step, max(now, queued.at))
    else:
        due = plan_due(payment, context, now)
    return Departure(
        None if due is None else foretell_departure(due, context, sending.full_until), None
    )


def find_coming(
    payment: Payment, written: frozenset[Step], queued: PlannedMessage | None
) -> Step | None:
    """The step that is queued or planned, else the first that is not written yet."""
    if queued is not None:
        return queued.step
    if payment.next_step is not None:
        return payment.next_step
    left = (step for step in SEQUENCES[payment.decline_class] if step not in written)
    return next(left, None)


def find_silence(
    payment: Payment, step: Step, sending: Sending, known: Prospects, now: datetime
) -> str | None:
    """Why nothing will be sent, in words. None: nothing forbids it."""
    if payment.held_out:
        return HELD_OUT
    if payment.imported:
        return IMPORTED
    decline = judge_decline(payment, known.bans[payment.payment_id])
    standing = known.standings[payment.payment_id]
    refused = judge_eligibility(
        step, payment, standing, decline.decline_class, sending.messaging, now
    )
    if refused is not None:
        return refused.reason
    address = find_address(payment.member_email)
    failure = known.suppressed.get(address.lower()) if address else None
    channel = judge_channel(payment, failure, sending.messaging, sending.channels)
    return channel.reason if isinstance(channel, Ineligible) else None


def plan_due(payment: Payment, context: ScheduleContext, now: datetime) -> PlannedMessage | None:
    """What the planner will decide when it looks again, at the time that it noted."""
    if payment.next_message_at is None:
        return None
    return plan_next(context, max(now, payment.next_message_at))
