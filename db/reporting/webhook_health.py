"""Whether webhooks come, and which could not be applied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from db.models import Payment, WebhookEvent
from recovery.health import Webhooks

# How many of the newest events are searched for a company's newest one. An index for it would slow
# down every webhook.
RECENT_EVENTS = 100_000
MOST_COUNTED = 1_000
LISTED = 20
# Whop delivers again for about 70 seconds, so a payment known later than this came by no webhook.
PROMPT = timedelta(minutes=10)
LOOKED_BACK = timedelta(days=30)
DELAY = Payment.created_at - Payment.failed_at


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that could not be applied. Its payload has personal data and is not shown."""

    event_id: str
    type: str
    received_at: datetime
    error: str


def find_webhooks(session: Session, company_id: str, now: datetime) -> Webhooks:
    """Failures known within PROMPT came by webhook; those known later were read back."""
    received = (
        find_last_event(session, company_id),
        find_last_delivered_at(session, company_id, now),
    )
    last_received_at = max((at for at in received if at), default=None)
    return Webhooks(last_received_at, find_first_missed(session, company_id, last_received_at, now))


def find_missed_webhooks(session: Session, company_id: str, now: datetime) -> Webhooks | None:
    """For notices, which ask every minute. None: nothing was missed, so the inbox is not
    searched."""
    last_message_at = find_last_delivered_at(session, company_id, now)
    if find_first_missed(session, company_id, last_message_at, now) is None:
        return None
    return find_webhooks(session, company_id, now)


def find_last_event(session: Session, company_id: str) -> datetime | None:
    newest = select(func.coalesce(func.max(WebhookEvent.id), 0)).scalar_subquery()
    return session.scalar(
        select(WebhookEvent.received_at)
        .where(WebhookEvent.company_id == company_id, WebhookEvent.id > newest - RECENT_EVENTS)
        .order_by(WebhookEvent.id.desc())
        .limit(1)
    )


def find_last_delivered_at(session: Session, company_id: str, now: datetime) -> datetime | None:
    return session.scalar(
        select(Payment.created_at)
        .where(failed_lately(company_id, now), DELAY <= PROMPT)
        .order_by(Payment.failed_at.desc())
        .limit(1)
    )


def find_first_missed(
    session: Session, company_id: str, since: datetime | None, now: datetime
) -> datetime | None:
    missed = select(func.min(Payment.failed_at)).where(
        failed_lately(company_id, now), DELAY > PROMPT
    )
    return session.scalar(missed if since is None else missed.where(Payment.failed_at > since))


def failed_lately(company_id: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        Payment.company_id == company_id, ~Payment.imported, Payment.failed_at > now - LOOKED_BACK
    )


def count_events(session: Session, which: ColumnElement[bool]) -> int:
    """Counts up to MOST_COUNTED, since more would tell no more."""
    some = select(WebhookEvent.id).where(which).limit(MOST_COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def list_poison(session: Session, which: ColumnElement[bool]) -> tuple[Poison, ...]:
    query = (
        select(
            WebhookEvent.event_id,
            WebhookEvent.type,
            WebhookEvent.received_at,
            func.coalesce(WebhookEvent.error, ""),
        )
        .where(which)
        .order_by(WebhookEvent.received_at.desc())
        .limit(LISTED)
    )
    return tuple(Poison(*row) for row in session.execute(query))
