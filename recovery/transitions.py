"""The next status of a payment: Whop's own stop decides first, then the policy. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32
from zoneinfo import ZoneInfo

from recovery.charging_hours import AFTER_WHOP, avoid_whop, wait_for_day
from recovery.declines import DeclineClass
from recovery.reports import PaymentReport
from recovery.retry_policy import (
    MARGIN,
    NoRetry,
    NoRetryReason,
    Retry,
    RetryContext,
    RetryRules,
    decide,
)
from recovery.standing import DisputeEffect, judge_dispute
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, Trigger

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
