"""Requests about one payment: to stop it, or to charge it now. (For replays: db/ledger/replays.py.)

A request is a row that the daemon works on, so whoever makes it needs no access to Whop. `answer`
is the sentence that the creator reads.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import audit_log
from db.ledger import attempts, payments
from db.member_messages import cancellation
from db.models import Payment, Request
from recovery.labels import CLOSED_REASONS, continue_with, name_end
from recovery.retrying.context import RetryRules
from recovery.retrying.decisions import find_no_retry_reason
from recovery.retrying.transitions import Transition, closed
from recovery.status import UNPAID, Action, ClosedReason, PaymentStatus, RequestKind, Trigger

ACTIONS = {RequestKind.STOP: Action.STOP, RequestKind.RETRY_NOW: Action.RETRY}
DONE = "done"
CHARGE_RUNNING = "not possible while a charge is in progress"


class UnknownPaymentError(LookupError):
    """The company has no such payment."""


def ask(
    session: Session,
    payment_id: str,
    kind: RequestKind,
    actor: str,
    now: datetime,
    company_id: str | None = None,
) -> Request:
    """`company_id`: the owner it must have; None, for operators only: any. Raises
    UnknownPaymentError."""
    known = select(Payment.company_id).where(Payment.payment_id == payment_id)
    owner = session.scalar(known)
    if owner is None or company_id not in (None, owner):
        raise UnknownPaymentError(f"there is no failed payment {payment_id}")
    request = Request(
        payment_id=payment_id, company_id=owner, kind=kind, requested_by=actor, requested_at=now
    )
    session.add(request)
    # Before the audit entry: the same order everywhere, so there is no deadlock.
    session.flush()
    audit_log.record(session, owner, actor, ACTIONS[kind], now, payment_id=payment_id)
    return request


def fulfil_next(session: Session, now: datetime, rules: RetryRules) -> Request | None:
    """Does what the oldest open request asks for. None: there is none."""
    found = session.execute(
        select(Request, Payment.payment_id)
        .join(Payment, Payment.payment_id == Request.payment_id)
        .where(Request.done_at.is_(None))
        .order_by(Request.id)
        .limit(1)
        .with_for_update(of=Request, skip_locked=True)
    ).first()
    if found is None:
        return None
    request, payment_id = found
    payment = payments.lock_payments(session, [payment_id])[payment_id]
    act = stop if request.kind is RequestKind.STOP else retry_now
    request.done_at, request.answer = now, act(session, payment, now, rules)
    return request


def stop(session: Session, payment: Payment, now: datetime, rules: RetryRules) -> str:
    """A charge that has not been sent yet is not sent any more."""
    if (refusal := refuse_stop(payment)) is not None:
        cancellation.cancel_messages(session, payment, "you stopped recovery")
        return refusal
    payments.move(session, payment, closed(ClosedReason.STOPPED))
    return DONE


def retry_now(session: Session, payment: Payment, now: datetime, rules: RetryRules) -> str:
    """Schedules the charge for now, whatever the policy says; a forbidden charge stays
    forbidden."""
    if (refusal := refuse_retry_now(session, payment, now, rules)) is not None:
        return refusal
    payments.move(
        session, payment, Transition(PaymentStatus.PENDING_RETRY, now, trigger=Trigger.CREATOR)
    )
    return DONE


def refuse_stop(payment: Payment) -> str | None:
    """Why stopping would change nothing. None: it would."""
    return None if payment.status in UNPAID else f"nothing to stop: {describe_end(payment)}"


def describe_end(payment: Payment) -> str:
    return continue_with(name_end(payment.status, payment.closed_reason))


def refuse_retry_now(
    session: Session, payment: Payment, now: datetime, rules: RetryRules
) -> str | None:
    """Why it cannot be charged now, whoever asks. None: it can."""
    if payment.status not in UNPAID:
        return f"nothing to charge: {describe_end(payment)}"
    if payment.window_ends_at <= now:
        return f"nothing to charge: {continue_with(CLOSED_REASONS[ClosedReason.WINDOW_CLOSED])}"
    if attempts.find_unsettled(session, payment) is not None:
        return CHARGE_RUNNING
    context = payments.find_retry_context(session, payment, now)
    if (reason_not_to := find_no_retry_reason(context, rules)) is not None:
        return f"not possible, {reason_not_to}"
    return None
