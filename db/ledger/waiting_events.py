"""Stored events that wait to be applied, or could not be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models import WebhookEvent

MARK_APPLIED = text(
    "update webhook_events set applied_at = :now, error = null where event_id = any(:ids)"
)


def find_poison(session: Session, event_ids: set[str]) -> set[str]:
    return set(
        session.scalars(
            select(WebhookEvent.event_id).where(
                WebhookEvent.event_id.in_(event_ids), WebhookEvent.error.is_not(None)
            )
        )
    )


def list_waiting(session: Session, payment_ids: set[str]) -> Sequence[WebhookEvent]:
    return session.scalars(
        select(WebhookEvent)
        .where(
            WebhookEvent.payment_id.in_(payment_ids),
            WebhookEvent.applied_at.is_(None),
            WebhookEvent.error.is_(None),
        )
        .order_by(WebhookEvent.id)
    ).all()


def mark_applied(session: Session, event_ids: set[str], now: datetime) -> None:
    if event_ids:
        session.execute(MARK_APPLIED, {"ids": sorted(event_ids), "now": now})
