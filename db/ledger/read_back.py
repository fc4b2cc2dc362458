"""Applies what was read back from Whop.

Whop delivers a webhook again three times within about 70 seconds, then never (whop-api.md 4.4).
Read back payments pass the same `apply_report` as webhooks, so it does not matter which comes
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from db.company_settings.recovery import find_recovery_settings
from db.ledger import facts, new_payments, payment_reports, payments, reviews, unknown_payments
from db.ledger import inbox as events
from db.ledger.bulk_insert import lock_events
from db.ledger.inbox import Reader
from db.ledger.refunds import record_refund
from recovery.reports import PaymentReport, RefundReport
from recovery.retrying.context import RetryRules
from recovery.status import UNPAID


def apply_reports(
    session: Session,
    company_id: str,
    reports: Sequence[PaymentReport],
    now: datetime,
    rules: RetryRules,
    read: Reader,
    *,
    imported: bool = False,
) -> int:
    """Applies them all, and makes known the failed renewals of which no webhook told us.

    Returns how many those were.
    """
    lock_events(session, {report.payment_id for report in reports})
    # Before payments are locked: facts.py says why.
    concerns = facts.record_reports(session, reports, now)
    known = payments.lock_payments(session, [report.payment_id for report in reports])
    missed = [r for r in reports if r.payment_id not in known and has_failed(r)]
    recovery_settings = {company_id: find_recovery_settings(session, company_id)}
    created = new_payments.create_payments(
        session, missed, recovery_settings, now, rules, imported=imported
    )
    events.apply_waiting(session, created.awaited, now, rules, read)
    known |= payments.lock_payments(session, created.payments)
    for report in reports:
        payment = known.get(report.payment_id)
        # invariant 6: what is read back changes only its own company's payments
        if payment is not None and payment.company_id == company_id:
            payment_reports.apply_report(session, payment, report, now, rules)
            payment.read_at = now
    session.flush()
    reviews.review_all(session, concerns, now, rules)
    return len(created.payments)


def has_failed(report: PaymentReport) -> bool:
    """Whether it is a renewal whose charge failed at least once, paid by now or not."""
    return report.renewal and (report.failed or (report.paid and bool(report.failures)))


def apply_refunds(session: Session, company_id: str, refunds: Sequence[RefundReport]) -> None:
    """Ignores refunds of payments that never failed."""
    known = payments.lock_payments(session, [refund.payment_id for refund in refunds])
    for refund in refunds:
        payment = known.get(refund.payment_id)
        if payment is not None and payment.company_id == company_id:
            record_refund(session, payment, refund)


def record_unknown(session: Session, payment_id: str, now: datetime) -> None:
    """For when Whop was asked and knows no such payment."""
    payment = payments.lock_payments(session, [payment_id]).get(payment_id)
    if payment is None:
        return
    if payment.status in UNPAID and payment.read_at is None:
        unknown_payments.close_unknown(session, payment, now)
    else:
        # Read again in its turn, as if it had been found.
        payment.read_at = now
