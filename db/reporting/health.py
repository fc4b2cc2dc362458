"""How one company's recovery stands right now: what the health page judges. Each by index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, text, union_all
from sqlalchemy.orm import Session

from db.models import Attempt, Heartbeat, Message, Payment, Sync, WebhookEvent
from db.reporting import summary as stats
from recovery.status import AttemptOutcome, Channel, MessageState, PaymentStatus

RECENT_EVENTS = 100_000
"""How far back the inbox is looked through for a company's newest event: it has no index of its
own, which would cost every webhook."""
RECENT_MESSAGES = 20_000
"""The same for mails that were not sent, which have none either."""
MOST_COUNTED = 1_000
LATELY = timedelta(hours=24)
SHOWN = 20
OF_NOBODY = frozenset({"whop_down_since"})
"""What a daemon notes that is about no company's payments."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The daemon that was alive last; `details` are its last cycle's counts. Those are of all
    companies, and left out where there are several."""

    beat_at: datetime
    last_cycle_at: datetime | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Due:
    """How many, and since when the oldest of them."""

    number: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that could not be applied. Its payload holds people and is not shown."""

    event_id: str
    type: str
    received_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Mail:
    """The mails of the last day by what became of them. `detail`: the newest failure's words, if
    nothing was sent after it."""

    sent: int
    failed: int
    unknown: int
    put_off: int
    last_sent_at: datetime | None
    last_failed_at: datetime | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """How far payments are read back from Whop."""

    read_until: datetime | None
    trouble: str | None
    missing_permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """`waiting`: events about payments that nobody has told us of (yet); successes of payments
    that never failed stay so."""

    last_event_at: datetime | None
    pulse: Pulse | None
    retries: Due
    messages: Due
    unknown: Due
    waiting: int
    poison: tuple[Poison, ...]
    poison_count: int
    mail: Mail
    reading: Reading | None
    revision: str | None


def gather_facts(session: Session, company_id: str, now: datetime) -> Facts:
    alone = len(stats.list_company_ids(session)) < 2
    # An event that does not even tell its company is shown where there is only one.
    nobody_s = and_(literal(alone), WebhookEvent.company_id.is_(None))
    whose = or_(WebhookEvent.company_id == company_id, nobody_s)
    poison = and_(WebhookEvent.error.is_not(None), whose)
    waiting = and_(
        WebhookEvent.applied_at.is_(None),
        WebhookEvent.error.is_(None),
        WebhookEvent.company_id == company_id,
    )
    return Facts(
        last_event_at=find_last_event(session, company_id),
        pulse=find_pulse(session, alone),
        retries=find_due_retries(session, company_id, now),
        messages=find_due_messages(session, company_id, now),
        unknown=find_unknown(session, company_id),
        waiting=count_events(session, waiting),
        poison=list_poison(session, poison),
        poison_count=count_events(session, poison),
        mail=measure_mail(session, company_id, now),
        reading=find_reading(session, company_id),
        revision=session.scalar(text("select version_num from alembic_version")),
    )


def find_last_event(session: Session, company_id: str) -> datetime | None:
    newest = select(func.coalesce(func.max(WebhookEvent.id), 0)).scalar_subquery()
    return session.scalar(
        select(WebhookEvent.received_at)
        .where(WebhookEvent.company_id == company_id, WebhookEvent.id > newest - RECENT_EVENTS)
        .order_by(WebhookEvent.id.desc())
        .limit(1)
    )


def find_pulse(session: Session, alone: bool) -> Pulse | None:
    alive = select(Heartbeat).where(Heartbeat.process == "daemon")
    last = session.scalar(alive.order_by(Heartbeat.beat_at.desc()).limit(1))
    if last is None:
        return None
    cycled = func.max(Heartbeat.last_cycle_at)
    last_cycle_at = session.scalar(select(cycled).where(Heartbeat.process == "daemon"))
    details = {name: told for name, told in last.details.items() if alone or name in OF_NOBODY}
    return Pulse(last.beat_at, last_cycle_at, details)


def find_due_retries(session: Session, company_id: str, now: datetime) -> Due:
    query = select(func.count(), func.min(Payment.next_retry_at)).where(
        Payment.company_id == company_id,
        Payment.status == PaymentStatus.PENDING_RETRY,
        Payment.next_retry_at <= now,
    )
    return Due(*session.execute(query).one())


def find_due_messages(session: Session, company_id: str, now: datetime) -> Due:
    """Those in the outbox, and those that nobody has written there though it is time."""
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
        .limit(SHOWN)
    )
    return tuple(Poison(*row) for row in session.execute(query))


def measure_mail(session: Session, company_id: str, now: datetime) -> Mail:
    """Failures by the time at which the sending began; what was put off waits for SendGrid."""
    newest_id = select(func.coalesce(func.max(Message.id), 0)).scalar_subquery()
    lately = and_(
        Message.id > newest_id - RECENT_MESSAGES,
        Message.company_id == company_id,
        Message.channel == Channel.EMAIL,
        Message.sending_at > now - LATELY,
    )
    state = Message.state
    put_off = and_(state == MessageState.QUEUED, Message.sending_at.is_not(None))
    broken = state.in_((MessageState.FAILED, MessageState.UNKNOWN))
    counts = select(
        stats.count_if(state == MessageState.SENT),
        stats.count_if(state == MessageState.FAILED),
        stats.count_if(state == MessageState.UNKNOWN),
        stats.count_if(put_off),
        func.max(Message.sent_at),
    ).where(lately)
    sent, failed, unknown, waits, last_sent_at = session.execute(counts).one()
    newest = (
        select(Message.sending_at, Message.detail)
        .where(lately, or_(broken, put_off))
        .order_by(Message.sending_at.desc())
        .limit(1)
    )
    last_failed_at, detail = session.execute(newest).one_or_none() or (None, None)
    return Mail(sent, failed, unknown, waits, last_sent_at, last_failed_at, detail)


def find_reading(session: Session, company_id: str) -> Reading | None:
    sync = session.get(Sync, company_id)
    if sync is None:
        return None
    return Reading(sync.read_until, sync.trouble, tuple(sync.missing_permissions))
