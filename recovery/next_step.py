"""What happens next with a payment: the one answer that pages, emails, files and the REST API give.

Pure: the facts and `now` are passed in. `find_next_step` decides; dashboard/text/next_step.py says
it to the creator, mail/context.py to the member.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recovery.action_required import ACTORS, ONLY_THE_MEMBER, Actor, LeadAction, Need, NextStepKind
from recovery.declines import NEVER_CHARGED_AGAIN, DeclineClass
from recovery.message_schedule import PlannedMessage
from recovery.retrying.decisions import NoRetryReason
from recovery.standing import Hold
from recovery.status import (
    UNPAID,
    ChargeMethod,
    ClosedReason,
    PaymentStatus,
    RequestKind,
    Trigger,
)

# In these nothing that is planned will be done as it was planned.
UNDECIDED = frozenset({NextStepKind.STOPPING, NextStepKind.CLOSING, NextStepKind.ON_HOLD})
# In these the outcome of a charge decides what comes.
IN_HAND = frozenset({NextStepKind.CHARGING, NextStepKind.CONFIRMING, NextStepKind.CHARGE_REQUESTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All facts that are looked at.

    `requested`: what the creator asked for and the daemon has not done yet. `unsettled`: a charge
    of ours has no outcome yet. `message`: when the next message really leaves. `silence`: why
    there is none, in words. `hold`: why all rests. `no_retry`: why no retry is scheduled.
    `can_retry`, `can_stop`: whether asking for it would change anything.
    """

    status: PaymentStatus
    decline_class: DeclineClass
    window_ends_at: datetime
    closed_reason: ClosedReason | None = None
    next_retry_at: datetime | None = None
    charge_method: ChargeMethod = ChargeMethod.RETRY
    trigger: Trigger = Trigger.SCHEDULE
    claimed_until: datetime | None = None
    unsettled: bool = False
    whop_next_attempt_at: datetime | None = None
    requested: RequestKind | None = None
    need: Need | None = None
    message: PlannedMessage | None = None
    silence: str | None = None
    hold: Hold | None = None
    no_retry: NoRetryReason | None = None
    has_address: bool = False
    held_out: bool = False
    can_retry: bool = False
    can_stop: bool = False


@dataclass(frozen=True, slots=True)
class PlannedCharge:
    """`at` None: it is due, and made in the next cycle."""

    at: datetime | None
    method: ChargeMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """`at`: when; None: at once, or nobody knows. No time here is over, and none will be moved by
    what is known now.

    `charge`, `whop_at`, `message`, `deadline`: all that is planned. `lead`: None where the creator
    can do nothing that helps.
    """

    kind: NextStepKind
    actor: Actor
    at: datetime | None = None
    closed_reason: ClosedReason | None = None
    charge: PlannedCharge | None = None
    whop_at: datetime | None = None
    message: PlannedMessage | None = None
    deadline: datetime | None = None
    need: Need | None = None
    silence: str | None = None
    hold: Hold | None = None
    no_retry: NoRetryReason | None = None
    lead: LeadAction | None = None
    can_retry: bool = False
    can_stop: bool = False


def find_next_step(situation: Situation, now: datetime) -> NextStep:
    kind = find_kind(situation, now)
    waits = kind not in UNDECIDED and situation.status in UNPAID
    plans = waits and kind not in IN_HAND
    charge = plan_charge(situation, now) if plans else None
    whop_at = find_whop_attempt(situation, now) if waits else None
    message = situation.message if kind not in UNDECIDED and kind not in IN_HAND else None
    ends = waits or kind is NextStepKind.ON_HOLD
    deadline = situation.window_ends_at if ends and situation.window_ends_at > now else None
    times = {
        NextStepKind.RETRY: charge.at if charge else None,
        NextStepKind.WHOP: whop_at,
        NextStepKind.MEMBER: message.at if message else deadline,
        NextStepKind.NOT_RECOVERED: message.at if message else None,
    }
    return NextStep(
        kind=kind,
        actor=ACTORS[kind],
        at=times.get(kind),
        closed_reason=situation.closed_reason,
        charge=charge,
        whop_at=whop_at,
        message=message,
        deadline=deadline,
        need=situation.need if kind is NextStepKind.NEEDS_YOU else None,
        silence=situation.silence if plans and message is None else None,
        hold=situation.hold,
        no_retry=situation.no_retry if plans and charge is None else None,
        lead=choose_lead(situation, kind),
        can_retry=plans and situation.can_retry,
        can_stop=(waits or kind is NextStepKind.ON_HOLD) and situation.can_stop,
    )


def find_kind(situation: Situation, now: datetime) -> NextStepKind:
    """What was asked for counts at once, what was begun before what is planned."""
    if situation.status is PaymentStatus.RECOVERED:
        return NextStepKind.RECOVERED
    if situation.status is PaymentStatus.PERMANENT_FAIL:
        return NextStepKind.NOT_RECOVERED
    if situation.requested is RequestKind.STOP:
        return NextStepKind.STOPPING
    if situation.claimed_until is not None and situation.claimed_until > now:
        return NextStepKind.CHARGING
    if situation.unsettled:
        return NextStepKind.CONFIRMING
    if situation.hold is not None:
        return NextStepKind.ON_HOLD
    if situation.status is PaymentStatus.FAILED and needs_creator(situation):
        return NextStepKind.NEEDS_YOU
    if situation.window_ends_at <= now:
        return NextStepKind.CLOSING
    if situation.requested is RequestKind.RETRY_NOW or is_requested_charge(situation, now):
        return NextStepKind.CHARGE_REQUESTED
    if situation.status is PaymentStatus.PENDING_RETRY:
        return NextStepKind.RETRY
    if find_whop_attempt(situation, now) is not None:
        return NextStepKind.WHOP
    return NextStepKind.MEMBER


def is_requested_charge(situation: Situation, now: datetime) -> bool:
    return (
        situation.status is PaymentStatus.PENDING_RETRY
        and situation.trigger is Trigger.CREATOR
        and plan_charge(situation, now) == PlannedCharge(None, situation.charge_method)
    )


def needs_creator(situation: Situation) -> bool:
    """Whom we still write to, by whatever way, is not out of reach."""
    written_to = situation.need is Need.NO_ADDRESS and situation.message is not None
    return situation.need is not None and not written_to


def plan_charge(situation: Situation, now: datetime) -> PlannedCharge | None:
    if situation.status is not PaymentStatus.PENDING_RETRY or situation.next_retry_at is None:
        return None
    at = situation.next_retry_at
    return PlannedCharge(at if at > now else None, situation.charge_method)


def find_whop_attempt(situation: Situation, now: datetime) -> datetime | None:
    at = situation.whop_next_attempt_at
    return at if at is not None and at > now else None


def choose_lead(situation: Situation, kind: NextStepKind) -> LeadAction | None:
    """Nothing while something is in hand, nor where the member said no or is in the control
    group."""
    if kind is NextStepKind.NEEDS_YOU:
        return LeadAction.OPEN_ON_WHOP
    if kind not in (NextStepKind.RETRY, NextStepKind.WHOP, NextStepKind.MEMBER):
        return None
    if situation.held_out or situation.decline_class is DeclineClass.CONSENT:
        return None
    helps = situation.decline_class not in ONLY_THE_MEMBER | NEVER_CHARGED_AGAIN
    if helps and situation.can_retry:
        return LeadAction.RETRY
    return LeadAction.WRITE if situation.has_address else LeadAction.OPEN_ON_WHOP
