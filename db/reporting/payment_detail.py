"""Everything known about one payment: attempts, messages, requests, refunds, disputes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db import audit_log
from db.company_settings.messaging import MessagingSettings, find_messaging_settings
from db.company_settings.recovery import find_recovery_settings
from db.company_settings.templates import OwnTemplate, list_templates
from db.members import list_disputes, list_memberships
from db.models import (
    Attempt,
    AuditEntry,
    Company,
    Dispute,
    Membership,
    Message,
    Payment,
    Refund,
    Request,
    RetryDecision,
)
from db.reporting.next_steps import Viewpoint, find_next_steps
from recovery.next_step import NextStep
from recovery.standing import is_bought_anew
from recovery.status import ClosedReason, Step

Kind = TypeVar("Kind", Attempt, Message, Request, Refund, RetryDecision)


@dataclass(frozen=True, slots=True)
class PaymentDetail:
    """Each list is in the order of events.

    `decisions`: the policy's. `membership`: what Whop has told of it; `bought_anew_at`: when the
    member bought the product once more instead.
    """

    payment: Payment
    seller: str | None
    time_zone: str
    messaging: MessagingSettings
    templates: Mapping[Step, OwnTemplate]
    attempts: Sequence[Attempt]
    decisions: Sequence[RetryDecision]
    messages: Sequence[Message]
    requests: Sequence[Request]
    refunds: Sequence[Refund]
    disputes: Sequence[Dispute]
    membership: Membership | None
    bought_anew_at: datetime | None
    entries: Sequence[AuditEntry]
    next_step: NextStep


def read_detail(
    session: Session, company_id: str, payment_id: str, view: Viewpoint
) -> PaymentDetail | None:
    """None: the company has no such payment, even if another company has."""
    payment = session.scalar(
        select(Payment).where(Payment.payment_id == payment_id, Payment.company_id == company_id)
    )
    if payment is None:
        return None
    company = session.get(Company, company_id)
    return PaymentDetail(
        payment=payment,
        seller=company.name if company else None,
        time_zone=find_recovery_settings(session, company_id).time_zone,
        messaging=find_messaging_settings(session, company_id),
        templates=list_templates(session, company_id),
        attempts=list_of(session, Attempt, payment, Attempt.number),
        decisions=list_of(session, RetryDecision, payment, RetryDecision.id),
        messages=list_of(session, Message, payment, Message.id),
        requests=list_of(session, Request, payment, Request.id),
        refunds=list_of(session, Refund, payment, Refund.observed_at),
        disputes=list_disputes(session, payment),
        membership=find_membership(session, payment),
        bought_anew_at=find_purchase(session, payment),
        entries=audit_log.list_entries(session, company_id, payment_id),
        next_step=find_next_steps(session, company_id, [payment], view)[payment.id],
    )


def list_of(
    session: Session, kind: type[Kind], payment: Payment, order: InstrumentedAttribute[Any]
) -> Sequence[Kind]:
    query = select(kind).where(kind.payment_id == payment.payment_id).order_by(order)
    return session.scalars(query).all()


def find_membership(session: Session, payment: Payment) -> Membership | None:
    if payment.membership_id is None:
        return None
    return session.get(Membership, (payment.membership_id, payment.company_id))


def find_purchase(session: Session, payment: Payment) -> datetime | None:
    """When the member bought the product anew, where that closed the payment."""
    if payment.closed_reason is not ClosedReason.BOUGHT_ANEW:
        return None
    own, others = list_memberships(session, payment)
    bought = (
        one.started_at
        for one in others
        if is_bought_anew(payment.product_id, payment.failed_at, own, one)
    )
    return min((at for at in bought if at is not None), default=None)
