"""New failed payments: the row, its first status, and when the member gets the first message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.company_settings.addresses import find_address
from db.company_settings.recovery import DEFAULT_RECOVERY_SETTINGS, RecoverySettings, add_companies
from db.ledger import banned_payments, reviews
from db.ledger.bulk_insert import insert_payments
from db.ledger.payments import apply_transition
from db.ledger.retry_context import ask_first
from db.ledger.rows import Bans, Created, NewPayment
from db.member_messages.reach import is_reachable
from db.models import Payment
from recovery.decline_codes import classify
from recovery.declines import STICKS
from recovery.message_schedule import may_write, plan_first
from recovery.payment_methods import identify_card, name_attempt
from recovery.reports import PaymentFacts, PaymentReport
from recovery.retrying.context import RetryRules
from recovery.retrying.transitions import WAITING, WINDOW, Transition, answer, find_stop
from recovery.status import UNPAID

AS_REPORTED = tuple(field.name for field in fields(PaymentFacts))
READ_FACTS = attrgetter(*AS_REPORTED)
NOTHING = Decimal(0)


def create_payments(
    session: Session,
    reports: Sequence[PaymentReport],
    recovery_settings: Mapping[str, RecoverySettings],
    now: datetime,
    rules: RetryRules,
    *,
    imported: bool = False,
) -> Created:
    """Inserts the unknown payments; each report must be about a different one.

    `recovery_settings`: of the companies known so far; others are added. `imported`: history, about
    which members get no messages. Facts that are known already are heeded.
    """
    if not reports:
        return Created(set(), set(), {}, set())
    add_companies(session, {report.company_id for report in reports} - recovery_settings.keys())
    rows = [
        describe_new(
            report,
            recovery_settings.get(report.company_id, DEFAULT_RECOVERY_SETTINGS),
            now,
            rules,
            imported=imported,
        )
        for report in reports
    ]
    bans = name_banned(rows, reports)
    created = insert_payments(session, rows, bans, now)
    banned_payments.apply_to_new(session, created, rows, bans, now, rules)
    review_new(session, created, now, rules)
    return created


def review_new(session: Session, created: Created, now: datetime, rules: RetryRules) -> None:
    """Looks at what was known before these payments were."""
    if created.concerned:
        query = select(Payment).where(Payment.payment_id.in_(created.concerned))
        reviews.review_each(session, query, now, rules)


def describe_new(
    report: PaymentReport,
    recovery_settings: RecoverySettings,
    now: datetime,
    rules: RetryRules,
    *,
    imported: bool = False,
) -> NewPayment:
    payment = build_payment(report, recovery_settings, now, imported)
    apply_transition(payment, choose_initial_transition(report, payment, recovery_settings, rules))
    # No messages about history, and none to members of the holdout.
    wanted = may_write(payment.status, payment.closed_reason) and not (imported or payment.held_out)
    if wanted and is_reachable(payment.member_email, payment.user_id):
        message = plan_first(payment.decline_class, payment.window_ends_at, now)
        if message is not None:
            payment.next_step, payment.next_message_at = message.step, message.at
    return payment


def name_banned(rows: Iterable[NewPayment], reports: Iterable[PaymentReport]) -> Bans:
    """Those whose decline sticks to their card."""
    return {
        row.payment_id: name_attempt(report.failures, report.last_attempt_at, identify_card(row))
        for row, report in zip(rows, reports, strict=True)
        if row.decline_class in STICKS
    }


def build_payment(
    report: PaymentReport,
    recovery_settings: RecoverySettings,
    now: datetime,
    imported: bool = False,
) -> NewPayment:
    """The row before any decision, from the failure alone."""
    decline = classify(report.decline_code, report.failure_message, report.payment_method_type)
    failed_at = find_first_failure(report, now)
    facts = dict(zip(AS_REPORTED, READ_FACTS(report), strict=True))
    facts["member_email"] = find_address(report.member_email)
    return NewPayment(
        **facts,
        refunded_amount=report.refunded_amount or NOTHING,
        reason=decline.words,
        decline_code=decline.code,
        decline_class=decline.decline_class,
        retryable=report.retryable is not False,
        whop_failures=report.failures,
        failed_at=failed_at,
        window_ends_at=failed_at + WINDOW,
        last_attempt_at=min(report.last_attempt_at or failed_at, now),
        whop_next_attempt_at=report.next_attempt_at,
        whop_announced_at=None if report.paid else report.observed_at,
        imported=imported,
        held_out=recovery_settings.holds_out(report.company_id, report.member_id),
        assigned_share=recovery_settings.holdout_percent or None,
        created_at=now,
    )


def choose_initial_transition(
    report: PaymentReport,
    payment: NewPayment,
    recovery_settings: RecoverySettings,
    rules: RetryRules,
) -> Transition:
    if (stop := find_stop(report)) is not None:
        return stop
    chosen = answer(ask_first(payment, recovery_settings, rules))
    return WAITING if report.pending and chosen.status in UNPAID else chosen


def find_first_failure(report: PaymentReport, now: datetime) -> datetime:
    """A renewal is first charged when it is created, so where there were several failures, or it is
    paid by now, the first was then."""
    first = report.last_attempt_at
    if ((report.failures or 0) > 1 or report.paid) and report.created_at is not None:
        first = report.created_at
    return min(first or now, now)
