"""Which payments need their creator: one rule, in SQL.

It is built from the data of recovery/action_required.py. The overview, the list of payments, the
weekly digest, posts and `GET /payments/list` all use it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import and_, case, func, or_, select, type_coerce
from sqlalchemy.orm import Session, aliased

from db.member_messages.reach import OUT_OF_REACH
from db.models import Message, Payment
from db.models.base import Word
from recovery.action_required import ALWAYS_NEEDED, ONLY_THE_MEMBER, Need
from recovery.delivery import NOT_ARRIVED
from recovery.status import MessageState, PaymentStatus

# Another payment's message to the same member may have covered this one too.
LeadMessage = aliased(Message)
NOT_DELIVERED = or_(
    LeadMessage.delivery_failure.in_(NOT_ARRIVED), LeadMessage.state == MessageState.FAILED
)
# A spam report or an opt-out comes from a member who was reached, whatever the message's state is.
REACHED = or_(
    and_(LeadMessage.state == MessageState.SENT, LeadMessage.delivery_failure.is_(None)),
    and_(
        LeadMessage.delivery_failure.is_not(None), LeadMessage.delivery_failure.not_in(NOT_ARRIVED)
    ),
)
# A scalar subquery, since Postgres may answer `exists` by reading all messages.
CONTACT_NEED = (
    select(
        case(
            (func.bool_or(REACHED), None),
            (OUT_OF_REACH, Need.NO_ADDRESS.value),
            (func.bool_or(NOT_DELIVERED), Need.UNREACHED.value),
        )
    )
    .select_from(Message)
    .join(LeadMessage, LeadMessage.id == func.coalesce(Message.joined_to, Message.id))
    .where(Message.payment_id == Payment.payment_id)
    .correlate(Payment)
    .scalar_subquery()
)
# Payments of the holdout and imported ones get no messages.
WAITS_FOR_MEMBER = and_(
    Payment.decline_class.in_(ONLY_THE_MEMBER), Payment.held_out.is_not(True), ~Payment.imported
)
# Null: the payment does not need its creator.
NEED = type_coerce(
    case(
        (or_(Payment.status != PaymentStatus.FAILED, Payment.hold.is_not(None)), None),
        *((Payment.decline_class == kind, need.value) for kind, need in ALWAYS_NEEDED.items()),
        (WAITS_FOR_MEMBER, CONTACT_NEED),
    ),
    Word(Need),
)
# The same as a condition. The status is a condition of its own so that the index of unpaid payments
# is used.
NEEDS_CREATOR = and_(Payment.status == PaymentStatus.FAILED, NEED.is_not(None))


@dataclass(frozen=True, slots=True)
class Needed:
    """How many payments need their creator for one reason, and their amount in dollars."""

    need: Need
    payments: int
    amount: Decimal


def count_needed(session: Session, company_id: str) -> list[Needed]:
    """Reads unpaid payments only: a few hundred rows, however long the history is."""
    need = NEED.label("need")
    rows = session.execute(
        select(need, func.count(), func.coalesce(func.sum(Payment.amount_usd), 0))
        .where(Payment.company_id == company_id, NEEDS_CREATOR)
        .group_by(need)
        .order_by(func.count().desc(), need)
    )
    return [Needed(need, count, amount) for need, count, amount in rows]


def list_needed(session: Session, company_id: str, limit: int) -> Sequence[tuple[Payment, Need]]:
    """The largest first."""
    rows = session.execute(
        select(Payment, NEED)
        .where(Payment.company_id == company_id, NEEDS_CREATOR)
        .order_by(Payment.amount_usd.desc().nulls_last(), Payment.id.desc())
        .limit(limit)
    )
    return [(payment, need) for payment, need in rows]


def find_needs_of(session: Session, ids: Collection[int]) -> dict[int, Need]:
    """By the row's id, for the payments that need their creator."""
    # Not NEEDS_CREATOR: a condition on the status would make Postgres read all unpaid payments.
    rows = session.execute(select(Payment.id, NEED).where(Payment.id.in_(ids)))
    return {number: need for number, need in rows if need is not None}
