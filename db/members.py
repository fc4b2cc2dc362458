"""Who a member is, by what a payment tells, and whether they take money back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, false, func, or_, select
from sqlalchemy.orm import Session

from db.models import Dispute, Payment

# What tells whose a payment is; which of them we are told depends on the shape.
MEMBER_IDS = ("member_id", "user_id", "membership_id")


def is_disputing(session: Session, payment: Payment) -> bool:
    """Whether the member has ever disputed a payment of the same seller: then nothing of theirs is
    charged, and nobody writes to them."""
    same = [
        getattr(Dispute, name) == value
        for name in MEMBER_IDS
        if (value := getattr(payment, name)) is not None
    ]
    query = exists().where(Dispute.company_id == payment.company_id, or_(false(), *same))
    return bool(session.scalar(select(query)))


@dataclass(frozen=True, slots=True)
class Member:
    """Who a payment's message goes to, by the first of these that is known."""

    company_id: str
    name: str
    value: str


def identify_member(payment: Payment) -> Member:
    if payment.member_id is not None:
        return Member(payment.company_id, "member_id", payment.member_id)
    if payment.member_email is not None:
        return Member(payment.company_id, "member_email", payment.member_email.lower())
    return Member(payment.company_id, "payment_id", payment.payment_id)


COLUMNS: dict[str, ColumnElement[Any]] = {
    "member_id": Payment.__table__.c.member_id,
    "member_email": func.lower(Payment.__table__.c.member_email),
    "payment_id": Payment.__table__.c.payment_id,
}


def is_of_member(member: Member) -> ColumnElement[bool]:
    return COLUMNS[member.name] == member.value
