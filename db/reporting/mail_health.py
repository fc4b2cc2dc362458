"""Whether SendGrid accepts our emails, and whether they arrive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from db.company_settings.notifications import find_notification_settings
from db.member_messages.eligibility import is_suppressed
from db.models import Message
from db.reporting.summary import count_if
from recovery.delivery import AGAINST_THE_SENDER, DeliveryFailure
from recovery.health import Deliverability
from recovery.status import Channel, MessageState

LAST_DAY = timedelta(hours=24)
# SendGrid tells of most emails within minutes.
SETTLED_AFTER = timedelta(hours=1)
# How many of the newest messages are searched for unsent emails, which have no index of their own.
RECENT_MESSAGES = 20_000


@dataclass(frozen=True, slots=True)
class Sending:
    """The last day's emails by SendGrid's answer. `detail`: that of the newest failure."""

    sent: int
    failed: int
    unknown: int
    put_off: int
    last_sent_at: datetime | None
    last_failed_at: datetime | None
    detail: str | None


def measure_sending(session: Session, company_id: str, now: datetime) -> Sending:
    """Failures count by the time at which sending began. `put_off`: queued again after a try."""
    newest_id = select(func.coalesce(func.max(Message.id), 0)).scalar_subquery()
    lately = and_(
        Message.id > newest_id - RECENT_MESSAGES,
        Message.company_id == company_id,
        Message.channel == Channel.EMAIL,
        Message.sending_at > now - LAST_DAY,
    )
    state = Message.state
    put_off = and_(state == MessageState.QUEUED, Message.sending_at.is_not(None))
    broken = state.in_((MessageState.FAILED, MessageState.UNKNOWN))
    counts = select(
        count_if(state == MessageState.SENT),
        count_if(state == MessageState.FAILED),
        count_if(state == MessageState.UNKNOWN),
        count_if(put_off),
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
    return Sending(sent, failed, unknown, waits, last_sent_at, last_failed_at, detail)


def measure_deliverability(session: Session, company_id: str, now: datetime) -> Deliverability:
    """Opt-outs do not count as undelivered: the member got the email."""
    told = func.coalesce(
        Message.delivered_at, Message.opened_at, Message.clicked_at, Message.delivery_failed_at
    )
    settled = Message.sent_at <= now - SETTLED_AFTER
    found = session.execute(
        select(
            func.count(),
            count_if(Message.delivery_failure.in_(AGAINST_THE_SENDER)),
            count_if(settled),
            count_if(and_(settled, told.is_not(None))),
        ).where(
            Message.company_id == company_id,
            Message.sent_at > now - LAST_DAY,
            Message.state == MessageState.SENT,
            Message.channel == Channel.EMAIL,
        )
    ).one()
    return Deliverability(*found)


def find_digest_failure(session: Session, company_id: str) -> DeliveryFailure | None:
    """Why the digest does not reach its address, known from emails to members. None: it may.

    An opt-out does not count: that was about messages to the member.
    """
    address = find_notification_settings(session, company_id).digest_to
    failure = is_suppressed(session, company_id, address) if address else None
    return None if failure is DeliveryFailure.UNSUBSCRIBED else failure
