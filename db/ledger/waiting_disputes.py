"""Disputes in the inbox that do not say whose payment it is, so that Whop has to be asked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.ledger import facts, reviews
from db.ledger.inbox import Reader
from db.models import WebhookEvent
from recovery.reports import DisputeReport
from recovery.retrying.context import RetryRules


def list_waiting(session: Session, company_id: str, read: Reader) -> list[DisputeReport]:
    stored = session.scalars(
        select(WebhookEvent)
        .where(
            WebhookEvent.company_id == company_id,
            WebhookEvent.type.like("dispute%"),
            WebhookEvent.applied_at.is_(None),
            WebhookEvent.error.is_(None),
        )
        .order_by(WebhookEvent.id)
    )
    found = [read(event.payload, event.received_at).dispute for event in stored]
    return [dispute for dispute in found if dispute is not None]


def settle(session: Session, dispute: DisputeReport, now: datetime, rules: RetryRules) -> None:
    """`dispute` has the member's ids as far as Whop knows them; Whop is not asked again."""
    reviews.review_all(session, [facts.record_dispute(session, dispute, now)], now, rules)
    session.execute(
        update(WebhookEvent)
        .where(
            WebhookEvent.payment_id == dispute.payment_id,
            WebhookEvent.company_id == dispute.company_id,
            WebhookEvent.type.like("dispute%"),
            WebhookEvent.applied_at.is_(None),
        )
        .values(applied_at=now)
    )
