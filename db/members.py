"""Whether a member takes money back: nothing of theirs is charged, and nobody writes to them."""

from __future__ import annotations

from sqlalchemy import exists, false, or_, select
from sqlalchemy.orm import Session

from db.models import Dispute, Payment

# What tells whose a payment is; which of them we are told depends on the shape.
MEMBERS_NAMES = ("member_id", "user_id", "membership_id")


def is_disputing(session: Session, payment: Payment) -> bool:
    """Whether the payment's member has ever disputed one of the same seller's."""
    same = [
        getattr(Dispute, name) == value
        for name in MEMBERS_NAMES
        if (value := getattr(payment, name)) is not None
    ]
    query = exists().where(Dispute.company_id == payment.company_id, or_(false(), *same))
    return bool(session.scalar(select(query)))
