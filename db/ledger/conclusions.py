"""The end of a retry: the attempt's outcome, and what that means for its payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db.ledger import attempts, payment_reports, payments
from db.ledger.claims import Claim, lock_claim
from db.ledger.unknown_payments import close_unknown
from db.models import Payment
from recovery.attribution import proves_ours
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from recovery.status import (
    UNSETTLED,
    AttemptOutcome,
    ChargeMethod,
    PaymentStatus,
    RecoveredBy,
    Trigger,
)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """An attempt's outcome. `report`: the payment as Whop last described it.

    `try_again_at`: with REFUSED, when to try the same charge again; only the time was wrong.
    `unknown`: Whop answered that there is no such payment.
    """

    outcome: AttemptOutcome
    report: PaymentReport | None = None
    detail: str | None = None
    try_again_at: datetime | None = None
    unknown: bool = False


def conclude(
    session: Session, claim: Claim, conclusion: Conclusion, now: datetime, rules: RetryRules
) -> None:
    """Leaves alone an attempt that a webhook has finished meanwhile."""
    payment, attempt = lock_claim(session, claim)
    ours = proves_ours(conclusion.report, attempt.sent_at)
    paid = conclusion.outcome is AttemptOutcome.PAID
    if paid and ours and attempt.outcome is not AttemptOutcome.PAID:
        # Whop's answer to our own key is stronger evidence than a webhook.
        attempts.finish(payment, attempt, AttemptOutcome.PAID, now)
        apply_if_given(session, payment, conclusion, now, rules)
        payment.recovered_by = RecoveredBy.RETRY
        attempts.delete_foreign_payment(session, payment)
        return
    if attempt.outcome not in UNSETTLED:
        apply_if_given(session, payment, conclusion, now, rules)
        return
    match conclusion.outcome:
        case AttemptOutcome.DECLINED:
            payment_reports.record_declined(payment, attempt, conclusion.report, now)
        case AttemptOutcome.REFUSED:
            attempts.finish(payment, attempt, conclusion.outcome, now, conclusion.detail)
        case AttemptOutcome.PAID:
            pass  # by somebody else, before our charge: the report finishes the attempt
        # Unknown or pending: Whop is asked again later.
        case _:
            attempts.leave_open(attempt, conclusion.outcome, conclusion.detail)
    apply_if_given(session, payment, conclusion, now, rules)
    if attempt.outcome not in UNSETTLED:
        reschedule(session, payment, conclusion, now, rules)


def reschedule(
    session: Session, payment: Payment, conclusion: Conclusion, now: datetime, rules: RetryRules
) -> None:
    payment.claimed_until = None
    if conclusion.unknown and close_unknown(session, payment, now):
        return
    refused = conclusion.outcome is AttemptOutcome.REFUSED and conclusion.try_again_at is None
    if refused and payment.next_charge_method is ChargeMethod.RETRY:
        # Whop's refusal outweighs what it said just before.
        payment.retryable = False
    if payment.status is not PaymentStatus.PENDING_RETRY:
        return
    again = conclusion.try_again_at
    # What was asked for, and another card, wait for their own moment; else the policy chooses anew.
    own = payment.next_trigger is not Trigger.SCHEDULE
    own |= payment.next_charge_method is not ChargeMethod.RETRY
    if again is None or not own or payments.is_forbidden(session, payment, now, rules):
        payments.schedule(session, payment, now, rules)
    if again is not None and payment.next_retry_at is not None and payment.next_retry_at < again:
        payments.postpone(session, payment, again)


def apply_if_given(
    session: Session, payment: Payment, conclusion: Conclusion, now: datetime, rules: RetryRules
) -> None:
    if conclusion.report is not None:
        session.flush()
        payment_reports.apply_report(session, payment, conclusion.report, now, rules)
