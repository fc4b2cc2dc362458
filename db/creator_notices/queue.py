"""The outbox to creators: each trigger once per channel, also after a crash.

As with messages to members, a row is committed `sending` before anything is sent, and what is found
in that state later is never sent again. There are few notices, so only one daemon at a time plans
and takes them (`lock_notices`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import outboxes
from db.member_messages.account_refusals import (
    ALL_COMPANIES,
    find_account_refusal,
    record_answer,
)
from db.models import Notice
from recovery.delivery import Delivery
from recovery.status import Channel, MessageState, NoticeChannel, NoticeKind

STALE = timedelta(hours=24)
DIGEST_STALE = timedelta(hours=48)
TRY_AGAIN_AFTER = timedelta(minutes=5)


ENDINGS = {
    NoticeKind.KEY_REFUSED: NoticeKind.KEY_REFUSED_OVER,
    NoticeKind.WEBHOOK_SILENT: NoticeKind.WEBHOOK_SILENT_OVER,
    NoticeKind.MAILS_BOUNCING: NoticeKind.MAILS_BOUNCING_OVER,
    NoticeKind.MAILS_REFUSED: NoticeKind.MAILS_REFUSED_OVER,
}


@dataclass(frozen=True, slots=True)
class NoticeBatch:
    """Notices that are sent as one; all due recoveries of a company are one batch."""

    notice_ids: tuple[int, ...]
    company_id: str
    kind: NoticeKind
    trigger_keys: tuple[str, ...]
    channel: NoticeChannel


def lock_notices(session: Session) -> None:
    """Waits for other planners. Held until the transaction ends."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("notices", 0))))


def queue_notices(
    session: Session,
    company_id: str,
    kind: NoticeKind,
    trigger_keys: Collection[str],
    channel: NoticeChannel,
    due_at: datetime,
) -> None:
    """Existing notices stay as they are."""
    if trigger_keys:
        rows = [
            {
                "company_id": company_id,
                "kind": kind,
                "trigger_key": trigger_key,
                "channel": channel,
                "state": MessageState.QUEUED,
                "due_at": due_at,
            }
            for trigger_key in trigger_keys
        ]
        session.execute(insert(Notice).values(rows).on_conflict_do_nothing())


def take_batch(session: Session, now: datetime) -> NoticeBatch | None:
    """Marks the notices due first `sending`, after dropping stale ones. None: nothing is due."""
    lock_notices(session)
    drop_stale(session, now)
    due = select(Notice).where(
        Notice.state == MessageState.QUEUED,
        Notice.due_at <= now,
        or_(Notice.sending_at.is_(None), Notice.sending_at <= now - TRY_AGAIN_AFTER),
    )
    # No digest tries an account that is refused, so that posts have their turn.
    refusal = find_account_refusal(session, Channel.EMAIL, ALL_COMPANIES)
    if refusal is not None and refusal.try_at > now:
        due = due.where(Notice.channel != NoticeChannel.EMAIL)
    first = session.scalar(due.order_by(Notice.due_at, Notice.id).limit(1))
    if first is None:
        return None
    together = [first]
    if first.kind == NoticeKind.RECOVERY:
        of_company = due.where(
            Notice.company_id == first.company_id, Notice.kind == NoticeKind.RECOVERY
        )
        together = list(session.scalars(of_company.order_by(Notice.id)))
    for notice in together:
        notice.state, notice.sending_at = MessageState.SENDING, now
    return NoticeBatch(
        tuple(notice.id for notice in together),
        first.company_id,
        first.kind,
        tuple(notice.trigger_key for notice in together),
        first.channel,
    )


def drop_stale(session: Session, now: datetime) -> None:
    """Drops notices that are too old to help: digests after two days, others after one. Those that
    were tried have failed, with the service's last answer; the others are skipped."""
    for is_digest, patience in ((True, DIGEST_STALE), (False, STALE)):
        late = update(Notice).where(
            Notice.state == MessageState.QUEUED,
            Notice.due_at < now - patience,
            (Notice.kind == NoticeKind.DIGEST) == is_digest,
        )
        tried, untried = Notice.sending_at.is_not(None), Notice.sending_at.is_(None)
        given_up = func.concat("given up: ", Notice.detail)
        session.execute(late.where(tried).values(state=MessageState.FAILED, detail=given_up))
        session.execute(
            late.where(untried).values(
                state=MessageState.SKIPPED, detail="it would have come too late"
            )
        )


def finish_batch(
    session: Session, batch: NoticeBatch, delivery: Delivery, now: datetime
) -> MessageState:
    """Returns the new state. What is put off keeps its `due_at`, so that it becomes stale some
    day."""
    if batch.channel is NoticeChannel.EMAIL:
        record_answer(session, Channel.EMAIL, ALL_COMPANIES, delivery, now)
    return outboxes.finish(session, Notice, batch.notice_ids, delivery, now)


def give_up_interrupted(session: Session, now: datetime) -> None:
    outboxes.give_up_interrupted(session, Notice, now)


def find_last(session: Session, company_id: str, kinds: Collection[NoticeKind]) -> Notice | None:
    query = select(Notice).where(Notice.company_id == company_id, Notice.kind.in_(kinds))
    return session.scalar(query.order_by(Notice.id.desc()).limit(1))
