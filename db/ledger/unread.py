"""The memberships and disputes about which Whop is to be asked again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from db.models import Dispute, Membership, Payment
from recovery.standing import FINAL
from recovery.status import UNPAID


def list_memberships(session: Session, company_id: str) -> list[str]:
    """The memberships of the company's unpaid payments, the longest unread first."""
    found = session.scalars(
        select(Payment.membership_id)
        .outerjoin(
            Membership,
            and_(
                Membership.company_id == Payment.company_id,
                Membership.membership_id == Payment.membership_id,
            ),
        )
        .where(
            Payment.company_id == company_id,
            Payment.status.in_(UNPAID),
            Payment.membership_id.is_not(None),
        )
        .order_by(Membership.read_at.asc().nulls_first(), Payment.id)
    )
    return [membership_id for membership_id in found if membership_id is not None]


def list_disputes(session: Session, company_id: str, before: datetime, limit: int) -> list[str]:
    """The payments whose disputes may have ended, and that were not asked about since `before`."""
    rows = session.execute(
        select(Dispute.payment_id, Dispute.status)
        .where(
            Dispute.company_id == company_id,
            or_(Dispute.read_at.is_(None), Dispute.read_at < before),
            Dispute.status.not_in(FINAL),
        )
        .order_by(Dispute.read_at.asc().nulls_first(), Dispute.recorded_at.desc())
        .limit(limit)
    )
    return [row.payment_id for row in rows]


def record_read(session: Session, company_id: str, payment_id: str, now: datetime) -> None:
    """For when Whop was asked, whatever it said."""
    theirs = (Dispute.company_id == company_id) & (Dispute.payment_id == payment_id)
    session.execute(update(Dispute).where(theirs).values(read_at=now))
