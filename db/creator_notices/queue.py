"""Notices to creators: each occasion once per channel, whatever crashes.

As with the messages to members a row is committed `sending` before anything leaves, and what is
found in that state later is never sent again. There are few of them, so one daemon at a time plans
and takes: `lock_notices`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import outboxes
from db.models import Notice
from recovery.delivery import Delivery
from recovery.status import MessageState, NoticeChannel, NoticeKind

STALE = timedelta(hours=24)
DIGEST_STALE = timedelta(hours=48)
TRY_AGAIN_AFTER = timedelta(minutes=5)


ENDINGS = {
    NoticeKind.KEY_REFUSED: NoticeKind.KEY_REFUSED_OVER,
    NoticeKind.WEBHOOK_SILENT: NoticeKind.WEBHOOK_SILENT_OVER,
    NoticeKind.MAILS_BOUNCING: NoticeKind.MAILS_BOUNCING_OVER,
}


@dataclass(frozen=True, slots=True)
class NoticeBatch:
    """What is to be told at once, in hand; recoveries are told of together."""

    notice_ids: tuple[int, ...]
    company_id: str
    kind: NoticeKind
    trigger_keys: tuple[str, ...]
    channel: NoticeChannel


def lock_notices(session: Session) -> None:
    """Until the transaction ends."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("notices", 0))))


def queue_notices(
    session: Session,
    company_id: str,
    kind: NoticeKind,
    trigger_keys: Collection[str],
    channel: NoticeChannel,
    due_at: datetime,
) -> None:
    """Those that are there already stay as they are."""
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
    """Marks what is due first `sending`, passing over what comes too late."""
    lock_notices(session)
    drop_stale(session, now)
    due = select(Notice).where(
        Notice.state == MessageState.QUEUED,
        Notice.due_at <= now,
        or_(Notice.sending_at.is_(None), Notice.sending_at <= now - TRY_AGAIN_AFTER),
    )
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
    """News of yesterday helps nobody, and a digest is for the week's beginning. It is also the end
    of trying again: what nobody has taken until then has failed, with the last answer."""
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
            late.where(untried).values(state=MessageState.SKIPPED, detail="it would have come late")
        )


def finish_batch(
    session: Session, batch: NoticeBatch, delivery: Delivery, now: datetime
) -> MessageState:
    """Returns where that leaves it. What is put off keeps its `due_at`, so that there is an end to
    trying again."""
    return outboxes.finish(session, Notice, batch.notice_ids, delivery, now)


def give_up_interrupted(session: Session, now: datetime) -> None:
    outboxes.give_up_interrupted(session, Notice, now)


def find_last(session: Session, company_id: str, kinds: Collection[NoticeKind]) -> Notice | None:
    query = select(Notice).where(Notice.company_id == company_id, Notice.kind.in_(kinds))
    return session.scalar(query.order_by(Notice.id.desc()).limit(1))
