"""Whether all is well: what the daemons last said, and what is in the way of reading back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from db.company_settings.notifications import find_alerts
from db.member_messages.eligibility import is_suppressed
from db.models import Heartbeat, Message, Payment, Sync, WebhookEvent
from recovery.status import Channel, MailTrouble, MessageState

DAY = timedelta(days=1)
# Whop delivers again for about 70 seconds; what we knew later than this, nobody had told us.
PROMPT = timedelta(minutes=10)
LOOKED_BACK = timedelta(days=30)
NEWEST_EVENTS = 1000
"""Looked through for a company's own: there is no index by company, and need not be."""
MOST_TROUBLED, FEWEST_TROUBLED = 0.05, 5
NOT_ARRIVED = (MailTrouble.BOUNCED, MailTrouble.DROPPED, MailTrouble.SPAM_REPORT)


@dataclass(frozen=True, slots=True)
class SyncTrouble:
    """Why a company's payments cannot be read back from Whop, or not all about them."""

    words: str | None
    missing_permissions: tuple[str, ...]


def find_sync_trouble(session: Session, company_id: str) -> SyncTrouble | None:
    sync = session.get(Sync, company_id)
    if sync is None or not (sync.trouble or sync.missing_permissions):
        return None
    return SyncTrouble(sync.trouble, tuple(sync.missing_permissions))


def find_whop_outage(session: Session) -> datetime | None:
    """Since when Whop has not answered, as the daemon that was alive last says."""
    since = session.scalar(
        select(Heartbeat.details["whop_down_since"].astext)
        .where(Heartbeat.process == "daemon")
        .order_by(Heartbeat.beat_at.desc())
        .limit(1)
    )
    return None if since is None else datetime.fromisoformat(since)


def find_last_cycle(session: Session) -> datetime | None:
    return session.scalar(
        select(func.max(Heartbeat.last_cycle_at)).where(Heartbeat.process == "daemon")
    )


def find_key_refusal(session: Session, company_id: str) -> bool | None:
    """Whether Whop refused our key when the company was last read back. None: something else was
    in the way, and that cannot be said."""
    trouble = session.scalar(select(Sync.trouble).where(Sync.company_id == company_id))
    if trouble is None:
        return False
    return True if trouble.startswith(("Whop answered 401", "Whop answered 403")) else None


def find_webhook_silence(session: Session, company_id: str, now: datetime) -> datetime | None:
    """Since when no webhook has come, where it is a day or more and failures were found by reading
    back meanwhile. None: webhooks come, or there was nothing to tell.

    A failure that a webhook told us of is known within minutes; one read back, later.
    """
    newest = (
        select(WebhookEvent.company_id, WebhookEvent.received_at)
        .order_by(WebhookEvent.id.desc())
        .limit(NEWEST_EVENTS)
        .subquery()
    )
    heard_at = session.scalar(
        select(func.max(newest.c.received_at)).where(newest.c.company_id == company_id)
    )
    told = and_(
        Payment.company_id == company_id, ~Payment.imported, Payment.failed_at > now - LOOKED_BACK
    )
    delay = Payment.created_at - Payment.failed_at
    told_at = session.scalar(
        select(Payment.created_at)
        .where(told, delay <= PROMPT)
        .order_by(Payment.failed_at.desc())
        .limit(1)
    )
    last = max((at for at in (heard_at, told_at) if at), default=None)
    found = select(func.min(Payment.failed_at)).where(told, delay > PROMPT)
    if last is not None:
        found = found.where(Payment.failed_at > last)
    first_missed = session.scalar(found)
    since = last or first_missed
    return since if first_missed and since and now - since >= DAY else None


@dataclass(frozen=True, slots=True)
class MailHealth:
    """The last day's mails to members, and how many of them did not arrive."""

    sent: int
    troubled: int

    @property
    def is_bad(self) -> bool:
        return self.troubled >= FEWEST_TROUBLED and self.troubled > self.sent * MOST_TROUBLED


def measure_mail_trouble(session: Session, company_id: str, now: datetime) -> MailHealth:
    """Bounced, dropped, or reported as spam; who only opts out has been reached."""
    sent, troubled = session.execute(
        select(func.count(), func.count().filter(Message.trouble.in_(NOT_ARRIVED))).where(
            Message.company_id == company_id,
            Message.sent_at > now - DAY,
            Message.state == MessageState.SENT,
            Message.channel == Channel.EMAIL,
        )
    ).one()
    return MailHealth(sent, troubled)


def find_digest_trouble(session: Session, company_id: str) -> MailTrouble | None:
    """Why no digest reaches its address, known from the mails to members: SendGrid drops what is
    sent there. Who asked for no more mails as a member may still want the digest."""
    address = find_alerts(session, company_id).digest_to
    trouble = is_suppressed(session, company_id, address) if address else None
    return None if trouble is MailTrouble.UNSUBSCRIBED else trouble
