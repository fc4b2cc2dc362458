"""Which payments belong to the same member, and whether the member disputes payments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, false, func, or_, select
from sqlalchemy.orm import Session

from db.models import Dispute, Payment

# The ids that say whose a payment is. Which of them are known depends on the payload's shape.
MEMBER_IDS = ("member_id", "user_id", "membership_id")


def is_disputing(session: Session, payment: Payment) -> bool:
    """Whether the member ever disputed a payment of this company. If so, we neither charge nor
    write."""
    same = [
        getattr(Dispute, name) == value
        for name in MEMBER_IDS
        if (value := getattr(payment, name)) is not None
    ]
    query = exists().where(Dispute.company_id == payment.company_id, or_(false(), *same))
    return bool(session.scalar(select(query)))


@dataclass(frozen=True, slots=True)
class Member:
    """Whom a payment's message goes to: the first column that is known, and its value."""

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
