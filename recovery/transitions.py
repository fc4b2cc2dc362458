"""Whether a payment may be charged again, and its next status: Whop's own stop decides first, then
what no policy may do, then the policy. Pure: `now` is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zlib import crc32
from zoneinfo import ZoneInfo

from recovery.declines import MEMBER_CAN_FIX, NEVER_CHARGED_AGAIN, DeclineClass
from recovery.reports import PaymentReport
from recovery.retry_policy import (
    AFTER_WHOP,
    MARGIN,
    POLICIES,
    RetryContext,
    RetryRules,
    avoid_whop,
    is_over_card_limit,
    wait_for_day,
)
from recovery.standing import DisputeEffect, judge_dispute
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, Trigger

# --- whether it may be charged again -----------------------------------------------------------


class NoRetryReason(StrEnum):
    """Why no retry is scheduled. The value goes on in a sentence that a creator reads."""

    NOTHING_OWED = "nothing is owed"
    RETRIES_USED = "all retries are used"
    WINDOW_CLOSED = "too little time is left before the deadline"
    NOT_RETRYABLE = "Whop does not allow another retry"
    FORBIDDEN = "it must not be charged again"
    NEEDS_MEMBER = "another retry would not help, only the member can fix it"
    CARD_LIMIT = "the card networks allow no more charges on this card for now"
    HELD_OUT = "this member is in the control group"
    PAUSED = "the membership is paused on Whop"
    INQUIRY = "the member's bank asks about a payment"


@dataclass(frozen=True, slots=True)
class Retry:
    at: datetime


@dataclass(frozen=True, slots=True)
class NoRetry:
    why: NoRetryReason


Decision = Retry | NoRetry


def find_no_retry_reason(context: RetryContext, rules: RetryRules) -> NoRetryReason | None:
    """Why a charge is forbidden, whatever the policy and whoever asks. None: it is allowed."""
    if not context.owed:
        return NoRetryReason.NOTHING_OWED
    if context.held_out:
        return NoRetryReason.HELD_OUT
    if context.hold is not None:  # invariant 11: a payment on hold is not charged
        return NoRetryReason[context.hold.name]
    if context.declined_retries >= rules.max_retries:
        return NoRetryReason.RETRIES_USED
    # invariant 3: forbidden declines are not charged
    if context.decline_class in NEVER_CHARGED_AGAIN:
        fixable = context.decline_class in MEMBER_CAN_FIX
        return NoRetryReason.NEEDS_MEMBER if fixable else NoRetryReason.FORBIDDEN
    if not context.retryable:
        return NoRetryReason.NOT_RETRYABLE
    if is_over_card_limit(context.card_brand, context.charges):
        return NoRetryReason.CARD_LIMIT
    return None


def decide(context: RetryContext, rules: RetryRules, now: datetime) -> Decision:
    """The policy's time, if a charge is allowed then."""
    reason_not_to = find_no_retry_reason(context, rules)
    if reason_not_to is not None:
        return NoRetry(reason_not_to)
    # invariant 9: rules are told the time
    earliest = max(context.last_charge_at + rules.interval, now)
    at = POLICIES[rules.policy](context, earliest)
    if at is None:
        return NoRetry(NoRetryReason.NEEDS_MEMBER)
    if at >= context.window_ends_at:
        return NoRetry(NoRetryReason.WINDOW_CLOSED)
    return Retry(at)


def wait_for_whop(
    rules: RetryRules, now: datetime, whop_attempt_at: datetime | None
) -> datetime | None:
    """When to decide again, if Whop has just announced an attempt near now. None: charge now.

    Only the `smart` policy waits for Whop.
    """
    clear = avoid_whop(now, whop_attempt_at)
    return clear if rules.policy == "smart" and clear > now else None


# --- where it stands ---------------------------------------------------------------------------

# Whop retries on its own for five days, then cancels (whop-api.md, section 3).
WINDOW = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Transition:
    """A payment's status after a decision, and how it is charged next."""

    status: PaymentStatus
    next_retry_at: datetime | None = None
    closed_reason: ClosedReason | None = None
    charge_method: ChargeMethod = ChargeMethod.RETRY
    trigger: Trigger = Trigger.SCHEDULE


WAITING = Transition(PaymentStatus.FAILED)


def closed(reason: ClosedReason) -> Transition:
    return Transition(PaymentStatus.PERMANENT_FAIL, closed_reason=reason)


def find_stop(report: PaymentReport) -> Transition | None:
    """Whether Whop says that nobody should collect this any more. None: it does not."""
    status = report.dispute_status
    if status is not None and judge_dispute(status) is DisputeEffect.STOPS:
        return closed(ClosedReason.DISPUTED)
    if report.ended:
        return closed(ClosedReason.CANCELED)
    if report.refunded_amount and not report.paid:
        return closed(ClosedReason.REFUNDED)
    return None


def choose_transition(context: RetryContext, rules: RetryRules, now: datetime) -> Transition:
    if now >= context.window_ends_at:
        return closed(ClosedReason.WINDOW_CLOSED)
    if context.decline_class is DeclineClass.CONSENT:
        return closed(ClosedReason.CONSENT_WITHDRAWN)
    match decide(context, rules, now):
        case Retry(at):
            return Transition(PaymentStatus.PENDING_RETRY, at)
        case NoRetry(NoRetryReason.RETRIES_USED) if context.declined_retries:
            return closed(ClosedReason.RETRIES_USED)
        case NoRetry():
            return WAITING


# Where another card may help: not where the member or a card network has refused.
BACKUP_HELPS = frozenset(
    {DeclineClass.FUNDS, DeclineClass.ISSUER, DeclineClass.CARD, DeclineClass.UNKNOWN}
)


def decide_backup(context: RetryContext, now: datetime) -> datetime | None:
    """When to try another saved card, by day since it may surprise the member. None: never."""
    if context.held_out or context.hold or not context.owed:
        return None
    if context.decline_class not in BACKUP_HELPS:
        return None
    zone = ZoneInfo(context.time_zone)
    at = avoid_whop(max(now, context.last_charge_at + AFTER_WHOP), context.whop_next_attempt_at)
    at = wait_for_day(at, zone, context.spread)
    return at if at <= context.window_ends_at - MARGIN else None


def plan_backup(transition: Transition, context: RetryContext, now: datetime) -> Transition | None:
    """The transition to another saved card, where the card on file is not tried again. None: no
    other card is tried."""
    if transition.status is PaymentStatus.PENDING_RETRY:
        return None
    at = decide_backup(context, now)
    return (
        Transition(PaymentStatus.PENDING_RETRY, at, charge_method=ChargeMethod.BACKUP_CARD)
        if at
        else None
    )


def find_spread(payment_id: str) -> float:
    """From 0 to 1, always the same for one payment."""
    return crc32(payment_id.encode()) / 2**32
