"""Trying poison events again. Only the daemon and the receiver can read Whop's words, so the
dashboard asks by a row. Each event is tried in a transaction of its own: a crash between leaves the
rest asked for, and nobody waits for longer than one event takes."""

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
from db.session import Outage, find_outage
from recovery.retry_policy import RetryRules
from recovery.status import Action, RequestKind

log = logging.getLogger(__name__)

OPEN = and_(Request.kind == RequestKind.REPLAY, Request.done_at.is_(None))


@dataclass(frozen=True, slots=True)
class TriedEvent:
    """An event of the inbox; `error`: why it is still poison. None: it is not."""

    id: int
    error: str | None


def ask(session: Session, company_id: str, actor: str, now: datetime) -> bool:
    """False: it is asked for already, and not done yet."""
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
    """When it was asked for, while it is not done."""
    return session.scalar(
        select(Request.requested_at).where(OPEN, Request.company_id == company_id)
    )


def replay_next(
    session: Session, now: datetime, rules: RetryRules, read: inbox.Reader, after: int = 0
) -> Request | None:
    """One event more for the first that is asked for after request `after`; it is done when there
    is none left. Two daemons never have the same one in hand. None: none is asked for there."""
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
    """In the audit list of each company that has poison events: they are about to be tried."""
    theirs = select(WebhookEvent.company_id).where(WebhookEvent.error.is_not(None))
    for company_id in session.scalars(select(Company.id).where(Company.id.in_(theirs))):
        audit_log.record(session, company_id, actor, Action.REPLAY_EVENTS, now)


def is_event_of(company_id: str, alone: bool) -> ColumnElement[bool]:
    """A company's events. One that does not even tell its company is theirs who are alone here."""
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
    """The first poison event after the event `after`, with today's code. None: there is none."""
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
    """Why it is still poison. None: it is applied, or waits for its payment to be known."""
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
        if find_outage(error) is Outage.AWAY:
            raise
        news = {"error": explain(error)}
    # Not where somebody else has applied it meanwhile.
    still = update(WebhookEvent).where(WebhookEvent.id == event_id, WebhookEvent.error.is_not(None))
    session.execute(still.values(news))
    return str(news["error"]) if news["error"] else None


def explain(error: Exception) -> str:
    """Ours say what is wrong; any other may quote what is private, so only its kind is told."""
    if isinstance(error, (ValueError, WrongCompanyError)):
        return str(error)
    log.error("an event could not be applied", exc_info=error)
    return f"it cannot be applied ({type(error).__name__})"
