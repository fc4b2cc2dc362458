"""The facts about one company's recovery that recovery/health.py assesses, each read by an index.

Pages and notices read the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import and_, func, select, text, union_all
from sqlalchemy.orm import Session

from db.company_settings.recovery import is_only_company
from db.heartbeats import read_outage, read_report
from db.ledger import replays
from db.member_messages.account_refusals import list_account_refusals
from db.models import AccountRefusal, Attempt, Heartbeat, Message, Payment, Sync, WebhookEvent
from db.reporting.mail_health import Sending, measure_deliverability, measure_sending
from db.reporting.webhook_health import Poison, count_events, find_webhooks, list_poison
from recovery.health import DaemonHeartbeat, Deliverability, SyncFailure, SyncState, Webhooks
from recovery.status import AttemptOutcome, MessageState, PaymentStatus, SyncError


@dataclass(frozen=True, slots=True)
class Due:
    """How many, and when the oldest of them was due."""

    number: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """The heartbeat has a report only where it is about no other company."""

    webhooks: Webhooks
    heartbeat: DaemonHeartbeat | None
    retries: Due
    messages: Due
    unknown: Due
    poison: tuple[Poison, ...]
    poison_count: int
    sending: Sending
    deliverability: Deliverability
    refusals: tuple[AccountRefusal, ...]
    sync: SyncState | None
    revision: str | None


def gather_facts(session: Session, company_id: str, now: datetime) -> HealthFacts:
    alone = is_only_company(session)
    heartbeat = find_heartbeat(session)
    poison = and_(WebhookEvent.error.is_not(None), replays.is_event_of(company_id, alone))
    return HealthFacts(
        webhooks=find_webhooks(session, company_id, now),
        heartbeat=heartbeat if alone or heartbeat is None else replace(heartbeat, report=None),
        retries=find_due_retries(session, company_id, now),
        messages=find_due_messages(session, company_id, now),
        unknown=find_unknown(session, company_id),
        poison=list_poison(session, poison),
        poison_count=count_events(session, poison),
        sending=measure_sending(session, company_id, now),
        deliverability=measure_deliverability(session, company_id, now),
        refusals=tuple(list_account_refusals(session, company_id)),
        sync=find_sync(session, company_id),
        revision=session.scalar(text("select version_num from alembic_version")),
    )


def find_heartbeat(session: Session) -> DaemonHeartbeat | None:
    """None: no daemon has run in the last week."""
    alive = select(Heartbeat).where(Heartbeat.process == "daemon")
    last = session.scalar(alive.order_by(Heartbeat.beat_at.desc()).limit(1))
    if last is None:
        return None
    cycled = func.max(Heartbeat.last_cycle_at)
    last_cycle_at = session.scalar(select(cycled).where(Heartbeat.process == "daemon"))
    details = last.details
    return DaemonHeartbeat(last.beat_at, last_cycle_at, read_outage(details), read_report(details))


def find_sync(session: Session, company_id: str) -> SyncState | None:
    """None: nothing was read yet. An older daemon writes and clears `error_detail` alone, so only
    that decides whether there is a failure."""
    sync = session.get(Sync, company_id)
    if sync is None:
        return None
    failure = None
    if sync.error_detail is not None:
        failure = SyncFailure(sync.error or SyncError.UNAVAILABLE, sync.error_detail)
    return SyncState(sync.read_until, failure, tuple(sync.missing_permissions))


def find_due_retries(session: Session, company_id: str, now: datetime) -> Due:
    query = select(func.count(), func.min(Payment.next_retry_at)).where(
        Payment.company_id == company_id,
        Payment.status == PaymentStatus.PENDING_RETRY,
        Payment.next_retry_at <= now,
    )
    return Due(*session.execute(query).one())


def find_due_messages(session: Session, company_id: str, now: datetime) -> Due:
    """Messages in the outbox that are due, and planned ones that should be there by now."""
    queued = select(Message.due_at.label("at")).where(
        Message.company_id == company_id,
        Message.state == MessageState.QUEUED,
        Message.due_at <= now,
    )
    planned = select(Payment.next_message_at).where(
        Payment.company_id == company_id, Payment.next_message_at <= now
    )
    both = union_all(queued, planned).subquery()
    return Due(*session.execute(select(func.count(), func.min(both.c.at))).one())


def find_unknown(session: Session, company_id: str) -> Due:
    query = select(func.count(), func.min(Attempt.started_at)).where(
        Attempt.company_id == company_id, Attempt.outcome == AttemptOutcome.UNKNOWN
    )
    return Due(*session.execute(query).one())
