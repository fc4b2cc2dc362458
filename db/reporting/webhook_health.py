"""Whether webhooks come, and what could not be done with those that came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from db.models import Payment, WebhookEvent
from recovery.health import Webhooks

# How far back the inbox is looked through for a company's newest event: it has no index of its own,
# which would cost every webhook.
RECENT_EVENTS = 100_000
MOST_COUNTED = 1_000
LISTED = 20
# Whop delivers again for about 70 seconds; what we knew later than this, nobody had told us.
PROMPT = timedelta(minutes=10)
LOOKED_BACK = timedelta(days=30)
DELAY = Payment.created_at - Payment.failed_at


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that could not be applied. Its payload holds people and is not shown."""

    event_id: str
    type: str
    received_at: datetime
    error: str


def find_webhooks(session: Session, company_id: str, now: datetime) -> Webhooks:
    """A failure that a webhook told us of is known within minutes; one read back, later."""
    received = (
        find_last_event(session, company_id),
        find_last_delivered_at(session, company_id, now),
    )
    last_received_at = max((at for at in received if at), default=None)
    return Webhooks(last_received_at, find_first_missed(session, company_id, last_received_at, now))


def find_missed_webhooks(session: Session, company_id: str, now: datetime) -> Webhooks | None:
    """For alerts, which ask every minute. None: nothing was missed, so there is no need to look
    through the inbox."""
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
    """Up to a thousand: beyond that the number says no more."""
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
