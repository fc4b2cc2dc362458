"""Marks a payment recovered, and decides who brought it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from db.ledger import attempts
from db.ledger.amounts import revalue
from db.ledger.payments import lock_payments, move
from db.ledger.unknown_payments import count_again
from db.member_messages import delivery_events
from db.member_messages.arrivals import find_arrival
from db.member_messages.event_matching import MailReport
from db.models import Attempt, MailEvent, Message, Payment
from recovery.attribution import (
    SCANNED_WITHIN,
    WHOP_DELAY,
    Evidence,
    attribute,
    find_charge_time,
    may_be_whop_charge,
)
from recovery.delivery import MailEventKind
from recovery.reports import PaymentReport
from recovery.retrying.transitions import Transition
from recovery.status import AttemptOutcome, PaymentStatus, RecoveredBy, Trigger

PAID_WITHOUT_US = "paid without us"
# Whop's answer to our own key proves more than any message.
NOT_PROVEN = frozenset(RecoveredBy) - {RecoveredBy.RETRY}
# A message about another payment may have covered this one too.
LEAD = aliased(Message)
MESSAGE_AT = find_arrival(LEAD)
# Where only an opening or a click tells that it arrived, it came when it was sent, or later.
CAME_AT = func.greatest(LEAD.sent_at, LEAD.delivered_at)


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
    count_again(payment)
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
    paid_at = find_charge_time(
        payment.recovered_at, payment.last_attempt_at, find_last_failure(session, payment)
    )
    evidence = Evidence(
        paid_at=paid_at,
        window_ends_at=payment.window_ends_at,
        charge_sent_at=attempt.sent_at if attempt is not None else None,
        whop_attempt_at=payment.whop_next_attempt_at,
        plan_told=payment.whop_plan_told,
        message_at=find_last_message(session, payment, paid_at),
        clicked_at=find_last_click(session, payment, paid_at),
    )
    payment.recovered_by = attribute(evidence)
    if payment.recovered_by is not RecoveredBy.RETRY:
        # To claim nothing in doubt is one thing; to say that Whop charged is another.
        due = may_be_whop_charge(evidence, WHOP_DELAY)
        trigger = Trigger.WHOP if due else Trigger.MEMBER
        attempts.record_foreign_payment(session, payment, trigger, payment.recovered_at)


def find_last_failure(session: Session, payment: Payment) -> datetime:
    """The last charge of it that is known to have been declined, whose ever."""
    declined = select(func.max(func.coalesce(Attempt.sent_at, Attempt.started_at))).where(
        Attempt.payment_id == payment.payment_id, Attempt.outcome == AttemptOutcome.DECLINED
    )
    return max(payment.failed_at, session.scalar(declined) or payment.failed_at)


def find_last_message(session: Session, payment: Payment, before: datetime) -> datetime | None:
    query = select_arrived(func.max(CAME_AT), payment, before)
    found: datetime | None = session.scalar(query)
    return found


def find_last_click(session: Session, payment: Payment, before: datetime) -> datetime | None:
    clicked_at = MailEvent.happened_at
    query = select_arrived(func.max(clicked_at), payment, before).join(
        MailEvent, and_(MailEvent.message_id == LEAD.id, MailEvent.kind == MailEventKind.CLICKED)
    )
    by_people = and_(clicked_at >= CAME_AT + SCANNED_WITHIN, clicked_at <= before)
    found: datetime | None = session.scalar(query.where(by_people))
    return found


def select_arrived(what: Any, payment: Payment, before: datetime) -> Select[Any]:
    """Of the messages about a payment that had arrived before this moment."""
    return (
        select(what)
        .select_from(Message)
        .join(LEAD, LEAD.id == func.coalesce(Message.joined_to, Message.id))
        .where(Message.payment_id == payment.payment_id, before >= MESSAGE_AT)
    )


def attribute_again(session: Session, payment_ids: Iterable[str]) -> None:
    """For when more has become known of the messages about them."""
    for payment in lock_payments(session, payment_ids).values():
        if payment.recovered_by in NOT_PROVEN:
            attribute_payment(session, payment)


def record_mail_events(session: Session, reports: Iterable[MailReport], now: datetime) -> int:
    """Returns how many were new. An email that bounces earns nothing, whenever that is heard."""
    written = delivery_events.record(session, reports, now)
    attribute_again(session, delivery_events.list_payments(session, written))
    return len(written)
