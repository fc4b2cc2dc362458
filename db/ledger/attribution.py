"""Marks a payment recovered, and decides who brought it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from db.ledger import attempts
from db.ledger.amounts import revalue
from db.ledger.payments import move
from db.ledger.unknown_payments import count_again
from db.models import Attempt, Message, Payment
from recovery.attribution import Evidence, attribute, may_be_whop_charge
from recovery.reports import PaymentReport
from recovery.status import AttemptOutcome, MessageState, PaymentStatus, RecoveredBy, Trigger
from recovery.transitions import Transition

PAID_WITHOUT_US = "paid without us"


def record_paid(
    session: Session,
    payment: Payment,
    attempt: Attempt | None,
    report: PaymentReport,
    now: datetime,
) -> None:
    """Marks it recovered, whoever made the payment."""
    if payment.status is PaymentStatus.RECOVERED:
        return
    count_again(session, payment, now)
    payment.recovered_at = min(report.paid_at or report.observed_at, now)
    # The time of the charge that paid it, whatever was reported before.
    if report.last_attempt_at is not None:
        payment.last_attempt_at = max(payment.last_attempt_at, report.last_attempt_at)
    payment.claimed_until = None
    move(session, payment, Transition(PaymentStatus.RECOVERED))
    revalue(session, payment)
    attribute_payment(session, payment, attempt)
    if attempt is not None:
        ours = payment.recovered_by is RecoveredBy.RETRY
        outcome = AttemptOutcome.PAID if ours else AttemptOutcome.REFUSED
        attempts.finish(payment, attempt, outcome, now, None if ours else PAID_WITHOUT_US)


def attribute_payment(session: Session, payment: Payment, attempt: Attempt | None = None) -> None:
    """Decides by the evidence who brought it, and records the attempt that did."""
    assert payment.recovered_at is not None
    # A message about another payment may have covered this one too.
    lead = aliased(Message)
    mailed = (
        select(func.min(func.coalesce(lead.sent_at, Message.sent_at)))
        .select_from(Message)
        .outerjoin(lead, lead.id == Message.joined_to)
        .where(
            Message.payment_id == payment.payment_id,
            func.coalesce(lead.state, Message.state) == MessageState.SENT,
        )
    )
    evidence = Evidence(
        paid_at=min(payment.recovered_at, payment.last_attempt_at),
        charge_sent_at=attempt.sent_at if attempt is not None else None,
        whop_attempt_at=payment.whop_next_attempt_at,
        message_sent_at=session.scalar(mailed),
    )
    payment.recovered_by = attribute(evidence)
    if payment.recovered_by is not RecoveredBy.RETRY:
        trigger = Trigger.WHOP if may_be_whop_charge(evidence) else Trigger.MEMBER
        attempts.record_foreign_payment(session, payment, trigger, payment.recovered_at)
