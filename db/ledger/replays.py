"""Replaying poison events.

Only the daemon and the receiver can parse Whop's payloads, so the dashboard asks by a request row.
Each event is tried in a transaction of its own: after a crash the rest is still requested, and
nobody waits longer than one event takes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import audit_log
from db.company_settings.recovery import add_companies, is_only_company
from db.ledger import inbox
from db.ledger.payments import WrongCompanyError
from db.ledger.requests import DONE
from db.models import Company, Request, WebhookEvent
from db.outages import find_outage
from recovery.retrying.context import RetryRules
from recovery.status import Action, RequestKind

log = logging.getLogger(__name__)

OPEN = and_(Request.kind == RequestKind.REPLAY, Request.done_at.is_(None))


@dataclass(frozen=True, slots=True)
class TriedEvent:
    """An event that was tried again. `error`: why it is still poison; None: it no longer is."""

    id: int
    error: str | None


def ask(session: Session, company_id: str, actor: str, now: datetime) -> bool:
    """Requests a replay. False: one is requested already and not done yet."""
    add_companies(session, {company_id})
    asked = session.scalar(
        insert(Request)
        .values(
            company_id=company_id, kind=RequestKind.REPLAY, requested_by=actor, requested_at=now
        )
        .on_conflict_do_nothing()
        .returning(Request.id)
    )
    if asked is None:
        return False
    audit_log.record(session, company_id, actor, Action.REPLAY_EVENTS, now)
    return True


def find_open(session: Session, company_id: str) -> datetime | None:
    """When the open replay was requested. None: there is none."""
    return session.scalar(
        select(Request.requested_at).where(OPEN, Request.company_id == company_id)
    )


def replay_next(
    session: Session, now: datetime, rules: RetryRules, read: inbox.Reader, after: int = 0
) -> Request | None:
    """Tries one event of the first open request after request `after`; with no event left, the
    request is done. Two daemons never work on the same request. None: there is no open request."""
    request = session.scalar(
        select(Request)
        .where(OPEN, Request.id > after)
        .order_by(Request.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if request is None:
        return None
    whose = is_event_of(request.company_id, is_only_company(session))
    tried = try_next_event(session, whose, request.tried_up_to or 0, now, rules, read)
    if tried is None:
        request.done_at, request.answer = now, DONE
    else:
        request.tried_up_to = tried.id
    return request


def record_for_all(session: Session, actor: str, now: datetime) -> None:
    """Records in the audit log of each company with poison events that they are tried again."""
    theirs = select(WebhookEvent.company_id).where(WebhookEvent.error.is_not(None))
    for company_id in session.scalars(select(Company.id).where(Company.id.in_(theirs))):
        audit_log.record(session, company_id, actor, Action.REPLAY_EVENTS, now)


def is_event_of(company_id: str, alone: bool) -> ColumnElement[bool]:
    """A company's events. `alone`: it is the only one, so events without a company are its own
    too."""
    theirs = WebhookEvent.company_id == company_id
    return or_(theirs, WebhookEvent.company_id.is_(None)) if alone else theirs


def try_next_event(
    session: Session,
    whose: ColumnElement[bool],
    after: int,
    now: datetime,
    rules: RetryRules,
    read: inbox.Reader,
) -> TriedEvent | None:
    """Tries the first poison event after event `after`, with today's code. None: there is none."""
    poison = select(WebhookEvent).where(WebhookEvent.error.is_not(None), whose)
    stored = session.scalar(
        poison.where(WebhookEvent.id > after).order_by(WebhookEvent.id).limit(1)
    )
    if stored is None:
        return None
    return TriedEvent(stored.id, try_event(session, stored, now, rules, read))


def try_event(
    session: Session, stored: WebhookEvent, now: datetime, rules: RetryRules, read: inbox.Reader
) -> str | None:
    """Why it is still poison. None: it is applied, or waits until its payment is known."""
    event_id, news = stored.id, dict[str, Any]()
    try:
        with session.begin_nested():
            event = inbox.parse_again(stored, read)
            inbox.record(session, [event], now, rules, read)
            news = {
                "error": None,
                "type": event.type,
                "company_id": event.company_id,
                "payment_id": event.payment_id,
                "applied_at": None if event.has_news else now,
            }
    except Exception as error:
        if find_outage(error):
            raise
        news = {"error": explain(error)}
    # Unless somebody else has applied it meanwhile.
    still = update(WebhookEvent).where(WebhookEvent.id == event_id, WebhookEvent.error.is_not(None))
    session.execute(still.values(news))
    return str(news["error"]) if news["error"] else None


def explain(error: Exception) -> str:
    """Our own errors are safe to show; others may quote private data, so only their type is
    named."""
    if isinstance(error, (ValueError, WrongCompanyError)):
        return str(error)
    log.error("an event could not be applied", exc_info=error)
    return f"it cannot be applied ({type(error).__name__})"
