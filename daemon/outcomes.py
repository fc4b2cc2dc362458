"""Interprets Whop's answers: what they mean for an attempt. Pure functions; `now` is passed in."""

from __future__ import annotations

from datetime import datetime, timedelta

from db.ledger.claims import Claim
from db.ledger.conclusions import Conclusion
from recovery.attribution import shows_decline
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from recovery.retrying.decisions import wait_for_whop
from recovery.retrying.transitions import find_stop
from recovery.status import AttemptOutcome, ChargeMethod, Trigger
from whop.errors import (
    AccessError,
    BusyError,
    DownError,
    NoAnswerError,
    NotFoundError,
    WhopError,
)

# Whop keeps an idempotency key for 24 hours. One hour less, because clocks may differ.
KEY_IS_GOOD_FOR = timedelta(hours=23)
SHORT_WAIT = timedelta(minutes=1)
LONG_WAIT = timedelta(hours=1)


def interpret(
    claim: Claim, payment: PaymentReport, rules: RetryRules, credential: str, now: datetime
) -> Conclusion | None:
    """What the payment, as just read, already decides. None: charge it.

    `credential` is the fingerprint of the API key in use now.
    """
    sent = claim.sent_at is not None
    if payment.paid:  # invariant 3: a paid payment is not charged
        # Whether a sent attempt collected it is decided by the ledger, which knows the times.
        outcome = AttemptOutcome.UNKNOWN if sent else AttemptOutcome.REFUSED
        return Conclusion(outcome, payment, "already paid")
    if payment.pending:
        outcome = AttemptOutcome.PENDING if sent else AttemptOutcome.REFUSED
        return Conclusion(outcome, payment, "a payment is being settled", now + SHORT_WAIT)
    if claim.sent_at is not None:
        return interpret_sent(claim, claim.sent_at, payment, credential, now)
    if is_stopped(payment):  # invariant 3: what is not retryable is not charged
        return Conclusion(AttemptOutcome.REFUSED, payment, "Whop says it is not retryable")
    only = claim.is_single and claim.charge_method is ChargeMethod.RETRY
    last = payment.last_attempt_at if only else None
    again = wait_for_whop(rules, now, payment.next_attempt_at, last)
    if again is not None and claim.trigger is Trigger.SCHEDULE:
        return Conclusion(AttemptOutcome.REFUSED, payment, "Whop tries itself about now", again)
    return None


def interpret_sent(
    claim: Claim, sent_at: datetime, payment: PaymentReport, credential: str, now: datetime
) -> Conclusion | None:
    """For an attempt that may already have charged. None: the same call may be made again."""
    if shows_decline(payment, sent_at, claim.failures_before):
        return Conclusion(AttemptOutcome.DECLINED, payment, payment.failure_message)
    if now - sent_at > KEY_IS_GOOD_FOR:
        again = None if payment.retryable is False else now + SHORT_WAIT
        return Conclusion(AttemptOutcome.REFUSED, payment, "Whop never ran it", again)
    # Whop knows an idempotency key only together with the API key it was sent with.
    # invariant 3: an attempt is repeated only under the key to Whop that it was sent with
    repeatable = claim.charge_method is ChargeMethod.RETRY and claim.sent_with == credential
    if is_stopped(payment) or not repeatable:
        return Conclusion(AttemptOutcome.UNKNOWN, payment, "no trace of the charge yet")
    return None


def is_stopped(payment: PaymentReport) -> bool:
    return payment.retryable is False or find_stop(payment) is not None


def interpret_charge(before: PaymentReport, after: PaymentReport) -> Conclusion:
    """A 200 does not mean that money was taken; the payment itself says so (whop-api.md 2.5)."""
    if after.paid:
        return Conclusion(AttemptOutcome.PAID, after)
    if after.pending:
        return Conclusion(AttemptOutcome.PENDING, after, "the bank is settling it")
    if (after.failures, after.last_attempt_at) != (before.failures, before.last_attempt_at):
        return Conclusion(AttemptOutcome.DECLINED, after, after.failure_message)
    return Conclusion(AttemptOutcome.UNKNOWN, after, "Whop is still charging")


def interpret_read_error(claim: Claim, error: WhopError, now: datetime) -> Conclusion:
    """For a read that failed before the charge. An attempt sent earlier stays unknown."""
    if claim.sent_at is not None:
        return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
    if isinstance(error, NoAnswerError):
        return Conclusion(AttemptOutcome.REFUSED, None, str(error), now + SHORT_WAIT)
    return interpret_refusal(error, now)


def interpret_charge_error(claim: Claim, error: WhopError, now: datetime) -> Conclusion:
    """For a charge that failed. A refusal says nothing about an earlier charge of this attempt."""
    # invariant 4: no answer concludes nothing
    if isinstance(error, NoAnswerError) or claim.sent_at is not None:
        return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
    return interpret_refusal(error, now)


def interpret_refusal(error: WhopError, now: datetime) -> Conclusion:
    """For a call that Whop refused. `try_again_at` is unset if the payment itself was at fault."""
    match error:
        case DownError():
            again: datetime | None = now + SHORT_WAIT
        case BusyError(wait=wait):
            again = now + max(wait, SHORT_WAIT)
        case AccessError() | NotFoundError():
            again = now + LONG_WAIT
        case _:
            again = None
    unknown = isinstance(error, NotFoundError)
    return Conclusion(AttemptOutcome.REFUSED, None, str(error), again, unknown)
