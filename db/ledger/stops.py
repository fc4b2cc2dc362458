"""Stops that close payments at once: the end of a membership, and disputes.

A running attempt is left to settle, since its charge may have been made. If it has not been sent,
`claims.mark_sent` does not send it any more.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.ledger.payments import move
from db.member_messages import queue as outbox
from db.members import MEMBER_IDS
from db.models import Dispute, Payment
from recovery.labels import CLOSED_REASONS, continue_with
from recovery.reports import DisputeReport, MembershipEnd
from recovery.status import UNPAID, ClosedReason
from recovery.transitions import closed


def end_membership(session: Session, end: MembershipEnd) -> None:
    reason = ClosedReason.MEMBER_CANCELED if end.by_member else ClosedReason.MEMBERSHIP_ENDED
    close_all(session, end.company_id, [Payment.membership_id == end.membership_id], reason)


def record_dispute(session: Session, dispute: DisputeReport, now: datetime) -> bool:
    """Closes the member's open payments, now and later. False: it does not say who the member is.

    The disputed payment was paid, so the open ones are other payments of the same member.
    """
    known = session.scalars(
        select(Payment).where(
            Payment.payment_id == dispute.payment_id, Payment.company_id == dispute.company_id
        )
    ).one_or_none()
    whose = {name: getattr(dispute, name) or getattr(known, name, None) for name in MEMBER_IDS}
    if not any(whose.values()):
        return False
    row = whose | {
        "payment_id": dispute.payment_id,
        "company_id": dispute.company_id,
        "recorded_at": now,
    }
    session.execute(insert(Dispute).values(row).on_conflict_do_nothing())
    same = [getattr(Payment, name) == value for name, value in whose.items() if value]
    close_all(session, dispute.company_id, same, ClosedReason.DISPUTED)
    return True


def close_all(
    session: Session, company_id: str, whose: list[ColumnElement[bool]], reason: ClosedReason
) -> None:
    payments = session.scalars(
        select(Payment)
        .where(Payment.company_id == company_id, Payment.status.in_(UNPAID), or_(*whose))
        .order_by(Payment.id)
        .with_for_update()
    )
    for payment in payments:
        move(session, payment, closed(reason))
    session.flush()
    why = continue_with(CLOSED_REASONS[reason])
    outbox.cancel_all_messages(session, (Payment.company_id == company_id) & or_(*whose), why)
