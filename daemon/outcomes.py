"""What Whop's words about a payment mean for the attempt in hand. Pure: `now` is passed in."""

from __future__ import annotations

from datetime import datetime, timedelta

from db.ledger.claims import Claim
from db.ledger.conclusions import Conclusion
from recovery.attribution import shows_decline
from recovery.reports import PaymentReport
from recovery.retry_policy import RetryRules, wait_for_whop
from recovery.status import AttemptOutcome, ChargeMethod, Trigger
from whop.errors import AccessError, BusyError, DownError, NoAnswerError, WhopError

# Whop keeps an idempotency key for 24 hours; an hour is kept back for clocks that differ.
KEY_IS_GOOD_FOR = timedelta(hours=23)
SOON = timedelta(minutes=1)
LATER = timedelta(hours=1)


def interpret(
    claim: Claim, payment: PaymentReport, rules: RetryRules, credential: str, now: datetime
) -> Conclusion | None:
    """What the payment, just read, already settles. None: charge.

    `credential` names the key at Whop that we have now.
    """
    sent = claim.sent_at is not None
    if payment.paid:  # invariant 3: a paid payment is not charged
        # Whether a sent attempt collected it, the ledger tells by the circumstances.
        outcome = AttemptOutcome.UNKNOWN if sent else AttemptOutcome.REFUSED
        return Conclusion(outcome, payment, "already paid")
    if payment.pending:
        outcome = AttemptOutcome.PENDING if sent else AttemptOutcome.REFUSED
        return Conclusion(outcome, payment, "a payment is being settled", now + SOON)
    if claim.sent_at is not None:
        return interpret_sent(claim, claim.sent_at, payment, credential, now)
    if is_stopped(payment):  # invariant 3: what is not retryable is not charged
        return Conclusion(AttemptOutcome.REFUSED, payment, "Whop says it is not retryable")
    again = wait_for_whop(rules, now, payment.next_attempt_at)
    if again is not None and claim.trigger is Trigger.SCHEDULE:
        return Conclusion(AttemptOutcome.REFUSED, payment, "Whop is about to try itself", again)
    return None


def interpret_sent(
    claim: Claim, sent_at: datetime, payment: PaymentReport, credential: str, now: datetime
) -> Conclusion | None:
    """Of an attempt that may have charged. None: the same call may be made again."""
    if shows_decline(payment, sent_at, claim.failures_before):
        return Conclusion(AttemptOutcome.DECLINED, payment, payment.failure_message)
    if now - sent_at > KEY_IS_GOOD_FOR:
        again = None if payment.retryable is False else now + SOON
        return Conclusion(AttemptOutcome.REFUSED, payment, "Whop never ran it", again)
    # Whop knows an idempotency key only together with the API key that it came with.
    # invariant 3: an attempt is repeated only under the key to Whop that it was sent with
    repeatable = claim.charge_method is ChargeMethod.RETRY and claim.sent_with == credential
    if is_stopped(payment) or not repeatable:
        return Conclusion(AttemptOutcome.UNKNOWN, payment, "no trace of the charge yet")
    return None


def is_stopped(payment: PaymentReport) -> bool:
    return payment.retryable is False or payment.ended or payment.disputed


def compare(before: PaymentReport, after: PaymentReport) -> Conclusion:
    """A 200 is an answer, not yet money: the payment itself says (whop-api.md 2.5)."""
    if after.paid:
        return Conclusion(AttemptOutcome.PAID, after)
    if after.pending:
        return Conclusion(AttemptOutcome.PENDING, after, "the bank is settling it")
    if (after.failures, after.last_attempt_at) != (before.failures, before.last_attempt_at):
        return Conclusion(AttemptOutcome.DECLINED, after, after.failure_message)
    return Conclusion(AttemptOutcome.UNKNOWN, after, "Whop is still charging")


def read_unasked(claim: Claim, error: WhopError, now: datetime) -> Conclusion:
    """A question failed before anything was charged now. An earlier charge stays unknown."""
    if claim.sent_at is not None:
        return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
    if isinstance(error, NoAnswerError):
        return Conclusion(AttemptOutcome.REFUSED, None, str(error), now + SOON)
    return read_refusal(error, now)


def read_charge(claim: Claim, error: WhopError, now: datetime) -> Conclusion:
    """A charge failed. Where it had been sent before, no refusal tells what that came to."""
    if isinstance(error, NoAnswerError) or claim.sent_at is not None:
        # invariant 4: no answer concludes nothing
        return Conclusion(AttemptOutcome.UNKNOWN, detail=str(error))
    return read_refusal(error, now)


def read_refusal(error: WhopError, now: datetime) -> Conclusion:
    """It did not happen: whether the moment, our key, or the payment was at fault."""
    match error:
        case DownError():
            again: datetime | None = now + SOON
        case BusyError(wait=wait):
            again = now + max(wait, SOON)
        case AccessError():
            again = now + LATER
        case _:
            again = None
    return Conclusion(AttemptOutcome.REFUSED, None, str(error), again)
