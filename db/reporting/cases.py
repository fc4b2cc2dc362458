"""Payments that wait for the creator: neither we nor the member can help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import and_, case, func, select, true
from sqlalchemy.orm import Session

from db.models import Message, Payment
from recovery.declines import DeclineClass
from recovery.status import AGAINST_THE_SENDER as NOT_ARRIVED
from recovery.status import MessageState, PaymentStatus

# Nothing older is unpaid: windows end.
OPEN_FOR = timedelta(days=30)
MOST_CASES = 10


class Why(StrEnum):
    """Why only a person can help with a payment."""

    AMOUNT = "amount"
    DUPLICATE = "duplicate"
    NO_ADDRESS = "no_address"
    NOT_ARRIVED = "not_arrived"


@dataclass(frozen=True, slots=True)
class Case:
    payment_id: str
    member_name: str | None
    product: str | None
    amount: Decimal
    currency: str
    why: Why


def list_cases(session: Session, company_id: str, now: datetime) -> tuple[tuple[Case, ...], int]:
    """Unpaid, no retry planned, and neither we nor the member will move: with how many there are
    in all. What is left to Whop alone, or was imported, is nobody's case."""
    sent = (
        select(
            func.coalesce(func.bool_or(Message.trouble.is_(None)), False).label("arrived"),
            func.coalesce(func.bool_or(Message.trouble.in_(NOT_ARRIVED)), False).label("lost"),
        )
        .where(Message.payment_id == Payment.payment_id, Message.state == MessageState.SENT)
        .lateral()
    )
    why = case(
        (Payment.decline_class == DeclineClass.AMOUNT, Why.AMOUNT),
        (Payment.decline_class == DeclineClass.DUPLICATE, Why.DUPLICATE),
        (and_(sent.c.lost, ~sent.c.arrived), Why.NOT_ARRIVED),
        (and_(Payment.member_email.is_(None), ~sent.c.arrived), Why.NO_ADDRESS),
    )
    found = (
        select(
            Payment.payment_id,
            Payment.member_name,
            Payment.product,
            Payment.amount,
            Payment.currency,
            why.label("why"),
            func.count().over().label("number"),
        )
        .join(sent, true())
        .where(
            Payment.company_id == company_id,
            Payment.failed_at > now - OPEN_FOR,
            Payment.status == PaymentStatus.FAILED,
            ~Payment.imported,
            Payment.held_out.is_not(True),
            why.is_not(None),
        )
        .order_by(Payment.amount_usd.desc().nulls_last(), Payment.id)
        .limit(MOST_CASES)
    )
    rows = session.execute(found).all()
    cases = tuple(
        Case(row.payment_id, row.member_name, row.product, row.amount, row.currency, Why(row.why))
        for row in rows
    )
    return cases, rows[0].number if rows else 0
