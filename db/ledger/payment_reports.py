"""Applies reports to known payments: every report, from any source, passes `apply_report`.

The caller holds the row's lock and owns the transaction.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from sqlalchemy.orm import Session

from db import card_bans
from db.company_settings.addresses import find_address
from db.ledger import attempts, declines, diary
from db.ledger.amounts import record_amounts
from db.ledger.attribution import NOT_PROVEN, attribute_payment, record_paid
from db.ledger.payments import WrongCompanyError, move, schedule
from db.member_messages import cancellation, planner
from db.member_messages.reach import is_reachable
from db.models import Attempt, Payment, Sync
from recovery.attribution import counts_failure, shows_decline
from recovery.declines import DeclineClass
from recovery.payment_methods import CARD_FIELDS, identify_card, is_same_card
from recovery.reports import PaymentDetails, PaymentReport
from recovery.retrying.context import RetryRules
from recovery.retrying.transitions import WAITING, find_stop
from recovery.status import UNPAID, AttemptOutcome, PaymentStatus

# Without these Whop leaves out who the buyer is.
MEMBERS = frozenset({"member:basic:read", "member:email:read"})
CORRECTED = {field.name for field in fields(PaymentDetails)} | {"retryable"}
AS_THEY_ARE = sorted(CORRECTED - {"member_email"})


def apply_report(
    session: Session, payment: Payment, report: PaymentReport, now: datetime, rules: RetryRules
) -> None:
    """Reports may arrive in any order; the same one twice changes nothing.

    Raises WrongCompanyError.
    """
    # invariant 6: an event cannot reach another company's payment
    if report.company_id != payment.company_id:
        raise WrongCompanyError(f"{payment.payment_id} belongs to another company")
    diary.begin(session, payment, rules)
    attempt = attempts.find_unsettled(session, payment)
    known = find_planned_by(payment)
    # invariant 2: an older report is not the newest word
    newer = report.observed_at > payment.observed_at
    told = declines.record_decline(session, payment, report, now, newer=newer)
    record_amounts(session, payment, report)
    if newer:
        record_facts(payment, report)
        forget_buyer(session, payment, report)
    declined = attempt is not None and is_declined(report, attempt)
    if attempt is not None and declined:
        record_declined(payment, attempt, report, now)
        attempt = None
    if report.paid:
        record_paid(session, payment, attempt, report, now)
        return
    if payment.status is not PaymentStatus.RECOVERED:
        card_bans.settle_decline(session, payment, told)
    record_whop_schedule(payment, report)
    attempts.record_foreign_failure(session, payment, report)
    if payment.recovered_by in NOT_PROVEN:
        # What is heard late can change who brought it.
        attribute_payment(session, payment)
    stop = find_stop(report)
    if payment.status not in UNPAID:  # invariant 2: a recovered payment does not fail again
        if stop is not None:
            cancellation.cancel_messages(session, payment, "the payment is no longer collected")
        return
    changed = payment.decline_class is not known[0]
    if stop is not None or newer or declined:
        decide_again(session, payment, report, attempt, now, rules)
    elif changed and attempt is None:
        schedule(session, payment, now, rules)
    if find_planned_by(payment) != known:
        planner.plan_again(session, payment, now)


def find_planned_by(payment: Payment) -> tuple[DeclineClass, bool]:
    """What the plan of its messages depends on and a report can change."""
    return payment.decline_class, is_reachable(payment.member_email, payment.user_id)


def decide_again(
    session: Session,
    payment: Payment,
    report: PaymentReport,
    attempt: Attempt | None,
    now: datetime,
    rules: RetryRules,
) -> None:
    """Whop's own stop is final, so an older report of it counts too."""
    if (stop := find_stop(report)) is not None:
        move(session, payment, stop)
    elif report.pending:
        # A bank is settling it: the next report decides.
        move(session, payment, WAITING)
    elif attempt is None:
        schedule(session, payment, now, rules)


def is_declined(report: PaymentReport, attempt: Attempt) -> bool:
    if report.paid:
        # Whop counts a failure after ours was sent, but not whose: we do not claim the payment.
        return counts_failure(report, attempt.failures_before)
    return shows_decline(report, attempt.sent_at, attempt.failures_before)


def record_whop_schedule(payment: Payment, report: PaymentReport) -> None:
    """When Whop tries next, by its newest report."""
    payment.whop_plan_told |= report.next_attempt_at is not None
    announced_before = (
        payment.whop_announced_at is not None and report.observed_at <= payment.whop_announced_at
    )
    # While a bank settles it, Whop announces nothing.
    if announced_before or report.pending:
        return
    payment.whop_announced_at = report.observed_at
    payment.whop_next_attempt_at = report.next_attempt_at


def record_facts(payment: Payment, report: PaymentReport) -> None:
    """Copies a newer report's fields. A field that it leaves out keeps its value, unless it is of a
    card that another one has replaced."""
    payment.observed_at = report.observed_at
    if not is_same_card(identify_card(report), identify_card(payment)):
        for column in CARD_FIELDS:
            setattr(payment, column, None)
    for column in AS_THEY_ARE:
        if (value := getattr(report, column)) is not None:
            setattr(payment, column, value)
    payment.member_email = find_address(report.member_email) or payment.member_email
    if report.failures is not None:
        payment.whop_failures = report.failures
    if report.last_attempt_at is not None:
        payment.last_attempt_at = max(payment.last_attempt_at, report.last_attempt_at)


def forget_buyer(session: Session, payment: Payment, report: PaymentReport) -> None:
    """Whop names no buyer once the account is deleted, so nobody is written to any more; nor where
    a permission is missing, so it counts only while we have those. A company's account, which Whop
    never names, was not known before."""
    if not report.buyer_gone or payment.user_id is None:
        return
    sync = session.get(Sync, payment.company_id)
    if sync is not None and sync.read_until and not MEMBERS & set(sync.missing_permissions):
        payment.user_id = payment.member_email = None


def record_declined(
    payment: Payment, attempt: Attempt, report: PaymentReport | None, now: datetime
) -> None:
    attempts.finish(payment, attempt, AttemptOutcome.DECLINED, now)
    if report is not None:
        attempt.decline_code, attempt.detail = report.decline_code, report.failure_message
        attempt.retryable_after = report.retryable
    payment.claimed_until = None
