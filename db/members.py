"""Which payments belong to the same member, and what is known of them and their memberships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select
from sqlalchemy.orm import Session

from db.models import Dispute, Membership, Payment
from recovery.standing import MembershipFacts, Standing, is_bought_anew, judge, judge_dispute

# The ids that say whose a payment is. Which of them are known depends on the payload's shape.
MEMBER_IDS = ("member_id", "user_id", "membership_id")


def belongs_to(kind: type[Dispute] | type[Payment], whose: Any) -> ColumnElement[bool]:
    """Whether a row is of the member whom `whose` names by any of its ids."""
    same = [
        getattr(kind, name) == value
        for name in MEMBER_IDS
        if (value := getattr(whose, name)) is not None
    ]
    return and_(kind.company_id == whose.company_id, or_(false(), *same))


def find_standing(session: Session, payment: Payment) -> Standing:
    """What all that is known by now, of its membership and its member, means for a payment."""
    own, others = list_memberships(session, payment)
    statuses = session.scalars(select(Dispute.status).where(belongs_to(Dispute, payment)))
    anew = any(is_bought_anew(payment.product_id, payment.failed_at, own, one) for one in others)
    return judge(own, bought_anew=anew, effects={judge_dispute(status) for status in statuses})


def list_memberships(
    session: Session, payment: Payment
) -> tuple[MembershipFacts | None, list[MembershipFacts]]:
    """The payment's own membership, and those that its member has begun since it failed."""
    rows = session.scalars(
        select(Membership).where(
            Membership.company_id == payment.company_id,
            or_(
                Membership.membership_id == payment.membership_id,
                and_(is_theirs(payment), Membership.started_at >= payment.failed_at),
            ),
        )
    )
    facts = [copy_facts(row) for row in rows]
    own = next((one for one in facts if one.membership_id == payment.membership_id), None)
    return own, [one for one in facts if one is not own]


def is_theirs(payment: Payment) -> ColumnElement[bool]:
    same = [
        getattr(Membership, name) == value
        for name in ("member_id", "user_id")
        if (value := getattr(payment, name)) is not None
    ]
    return or_(false(), *same)


def copy_facts(row: Membership) -> MembershipFacts:
    return MembershipFacts(
        row.membership_id, row.product_id, row.started_at, row.renewal, row.paused
    )


def list_disputes(session: Session, payment: Payment) -> Sequence[Dispute]:
    """Those of this payment and of all others of its member, the oldest first."""
    theirs = or_(
        belongs_to(Dispute, payment),
        and_(Dispute.company_id == payment.company_id, Dispute.payment_id == payment.payment_id),
    )
    return session.scalars(select(Dispute).where(theirs).order_by(Dispute.recorded_at)).all()


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
