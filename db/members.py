"""Which payments belong to the same member, and what is known of them and their memberships."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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


def belongs_to_any(kind: Any, payments: Sequence[Payment]) -> ColumnElement[bool]:
    """Whether a row is of the member of one of them. All must be one company's."""
    same = [
        getattr(kind, name).in_(ids)
        for name in MEMBER_IDS
        if (ids := {getattr(payment, name) for payment in payments} - {None})
    ]
    return and_(kind.company_id == payments[0].company_id, or_(false(), *same))


def group_by_payment(
    rows: Iterable[Any], payments: Iterable[Any], names: Sequence[str] = MEMBER_IDS
) -> dict[str, list[Any]]:
    """By the payments' ids: the rows of its company that share a known id with each, under one of
    these names."""
    by_id: defaultdict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in rows:
        for name in names:
            if (value := getattr(row, name)) is not None:
                by_id[row.company_id, name, value].append(row)
    found = {}
    for payment in payments:
        keys = ((payment.company_id, name, getattr(payment, name)) for name in names)
        same = {id(row): row for key in keys for row in by_id.get(key, ())}
        found[payment.payment_id] = list(same.values())
    return found


def find_standing(session: Session, payment: Payment) -> Standing:
    """What all that is known by now, of its membership and its member, means for a payment."""
    statuses = session.scalars(select(Dispute.status).where(belongs_to(Dispute, payment)))
    return judge_all(payment, *list_memberships(session, payment), statuses)


def find_standings(session: Session, payments: Sequence[Payment]) -> dict[str, Standing]:
    """The same for many payments of one company, by their ids."""
    if not payments:
        return {}
    queries = (select(kind).where(belongs_to_any(kind, payments)) for kind in (Membership, Dispute))
    memberships, disputes = (
        group_by_payment(session.scalars(query), payments) for query in queries
    )
    return {
        payment.payment_id: judge_all(
            payment,
            *part_own(payment, memberships[payment.payment_id]),
            [dispute.status for dispute in disputes[payment.payment_id]],
        )
        for payment in payments
    }


def judge_all(
    payment: Payment,
    own: MembershipFacts | None,
    others: Iterable[MembershipFacts],
    disputes: Iterable[str],
) -> Standing:
    """By its own membership, others of its member, and the statuses of all their disputes."""
    anew = any(is_bought_anew(payment.product_id, payment.failed_at, own, one) for one in others)
    return judge(own, bought_anew=anew, effects={judge_dispute(status) for status in disputes})


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
    return part_own(payment, rows)


def part_own(
    payment: Payment, memberships: Iterable[Membership]
) -> tuple[MembershipFacts | None, list[MembershipFacts]]:
    facts = [copy_facts(row) for row in memberships]
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
