"""Where a payment stands after a decision: its next status, and how it is charged next. Pure:
`now` is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from zlib import crc32
from zoneinfo import ZoneInfo

from recovery.declines import DeclineClass
from recovery.reports import PaymentReport
from recovery.retrying.context import Retry, RetryContext, RetryRules
from recovery.retrying.decisions import Decision, NoRetry, NoRetryReason, decide
from recovery.retrying.good_hours import AFTER_WHOP, Day, avoid_whop, wait_for_day
from recovery.retrying.smart import MARGIN
from recovery.standing import DisputeEffect, judge_dispute
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, Trigger

# Whop retries on its own for five days, then cancels (whop-api.md, section 3).
WINDOW = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Transition:
    """A payment's status after a decision, and how it is charged next. `decision`: the policy's,
    where it was asked."""

    status: PaymentStatus
    next_retry_at: datetime | None = None
    closed_reason: ClosedReason | None = None
    charge_method: ChargeMethod = ChargeMethod.RETRY
    trigger: Trigger = Trigger.SCHEDULE
    decision: Decision | None = field(default=None, compare=False)


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


@cache
def wait(decision: NoRetry) -> Transition:
    return Transition(PaymentStatus.FAILED, decision=decision)


def choose_transition(context: RetryContext, rules: RetryRules, now: datetime) -> Transition:
    if now >= context.window_ends_at:
        return closed(ClosedReason.WINDOW_CLOSED)
    if context.decline_class is DeclineClass.CONSENT:
        return closed(ClosedReason.CONSENT_WITHDRAWN)
    decision = decide(context, rules, now)
    match decision:
        case Retry(at):
            return Transition(PaymentStatus.PENDING_RETRY, at, decision=decision)
        case NoRetry(NoRetryReason.RETRIES_USED) if context.declined_retries:
            return Transition(
                PaymentStatus.PERMANENT_FAIL,
                closed_reason=ClosedReason.RETRIES_USED,
                decision=decision,
            )
        case NoRetry():
            return wait(decision)


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
    at = wait_for_day(at, Day(zone), context.spread)
    return at if at <= context.window_ends_at - MARGIN else None


def plan_backup(transition: Transition, context: RetryContext, now: datetime) -> Transition | None:
    """The transition to another saved card, where the card on file is not tried again. None: no
    other card is tried."""
    if transition.status is PaymentStatus.PENDING_RETRY:
        return None
    at = decide_backup(context, now)
    if at is None:
        return None
    return Transition(
        PaymentStatus.PENDING_RETRY,
        at,
        charge_method=ChargeMethod.BACKUP_CARD,
        decision=transition.decision,
    )


@dataclass(slots=True)
class Question:
    """All that a decision depends on. `backup`: another card of the member's may be tried. Not
    frozen, as RetryContext."""

    context: RetryContext
    rules: RetryRules
    now: datetime
    backup: bool = False


def answer(question: Question) -> Transition:
    """The policy's transition; or, where the card on file is not tried again, one try of the
    member's other card."""
    context, now = question.context, question.now
    transition = choose_transition(context, question.rules, now)
    backup = plan_backup(transition, context, now) if question.backup else None
    return backup or transition


def find_spread(payment_id: str) -> float:
    """From 0 to 1, always the same for one payment."""
    return crc32(payment_id.encode()) / 2**32
