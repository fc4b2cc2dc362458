"""The ledger of tries. Rows are opened before a charge and finished exactly once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from db.models import Attempt, Payment
from db.reports import PaymentReport
from db.status import UNSETTLED, AttemptOutcome, Trigger

# How late Whop's own charge may run after the time it announced. Our assumption: not published.
WHOPS_DELAY = timedelta(minutes=15)


# Statements that run for every event or charge are built once: building costs more than running.
SELECT_UNSETTLED = select(Attempt).where(
    Attempt.payment_id == bindparam("payment_id"), Attempt.outcome.in_(UNSETTLED)
)
SELECT_LAST_NUMBER = select(func.max(Attempt.number)).where(
    Attempt.payment_id == bindparam("payment_id")
)


def unsettled_payment_ids() -> Select[str]:
    return select(Attempt.payment_id).where(Attempt.outcome.in_(UNSETTLED))


def find_unsettled(session: Session, payment: Payment) -> Attempt | None:
    """At most one: a unique index holds that. A payment that was never claimed has none."""
    if payment.claimed_until is None:
        return None
    return session.scalar(SELECT_UNSETTLED, {"payment_id": payment.payment_id})


def open_attempt(session: Session, payment: Payment, trigger: Trigger, now: datetime) -> Attempt:
    """The intention, on disk before any charge. The key makes Whop run it once, if ever."""
    number = (session.scalar(SELECT_LAST_NUMBER, {"payment_id": payment.payment_id}) or 0) + 1
    attempt = Attempt(
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        number=number,
        trigger=trigger,
        outcome=AttemptOutcome.OPEN,
        idempotency_key=f"retry:{payment.payment_id}:{number}",
        started_at=now,
    )
    session.add(attempt)
    return attempt


def finish(
    attempt: Attempt, outcome: AttemptOutcome, now: datetime, detail: str | None = None
) -> None:
    attempt.outcome = outcome
    attempt.finished_at = now
    attempt.detail = detail


def shows_decline(
    report: PaymentReport, sent_at: datetime | None, failures_before: int | None
) -> bool:
    """Whether this report of an unpaid payment shows that our charge ran and was declined.

    Whop counts failures per payment; without the count (older shapes) its time of the last try
    must be at or after ours.
    """
    if sent_at is None:
        return False
    if report.failures is not None and failures_before is not None:
        return report.failures > failures_before
    return report.last_attempt_at is not None and report.last_attempt_at >= sent_at


def collected(attempt: Attempt, payment: Payment, paid_at: datetime) -> bool:
    """Whether a payment made at `paid_at` is our attempt's doing, told only by circumstance.

    Conservative: nothing sent, paid before it was sent, or a charge of Whop's own due in between
    all mean that it was not us.
    """
    if attempt.sent_at is None or paid_at < attempt.sent_at.replace(microsecond=0):
        return False
    whops = payment.whop_next_attempt_at
    return whops is None or not attempt.sent_at - WHOPS_DELAY <= whops <= paid_at
