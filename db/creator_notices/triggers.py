"""What triggers a notice: a week that is over, recovered payments, problems."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from db.company_settings.notifications import (
    NotificationSettings,
    find_notification_settings,
    find_recoveries_since,
)
from db.creator_notices.queue import (
    DIGEST_STALE,
    ENDINGS,
    STALE,
    find_last,
    lock_notices,
    queue_notices,
)
from db.creator_notices.weeks import find_digest_week
from db.member_messages.account_refusals import find_account_refusal
from db.models import Notice, Payment
from db.reporting.health import find_heartbeat, find_sync
from db.reporting.mail_health import measure_deliverability
from db.reporting.summary import find_time_zone
from db.reporting.webhook_health import find_missed_webhooks
from recovery.health import (
    DeliverabilityState,
    WebhookState,
    assess_deliverability,
    assess_webhooks,
    assess_whop,
    is_key_refused,
)
from recovery.status import CLAIMED, Channel, NoticeChannel, NoticeKind, PaymentStatus

# Least time from the end of a problem to the next post about it, so that one that comes and goes is
# posted once.
COOLDOWN = timedelta(hours=6)


def plan_notices(session: Session, company_id: str, now: datetime, pause: timedelta) -> None:
    """`pause`: least time between two posts about recoveries."""
    lock_notices(session)
    notifications = find_notification_settings(session, company_id)
    if notifications.digest:
        plan_digest(session, company_id, now)
    if notifications.on_recovery:
        plan_recoveries(session, company_id, now, pause)
    plan_problems(session, company_id, notifications, now)


def plan_digest(session: Session, company_id: str, now: datetime) -> None:
    week = find_digest_week(now, find_time_zone(session, company_id))
    if now - week.digest_due_at <= DIGEST_STALE:
        queue_notices(
            session,
            company_id,
            NoticeKind.DIGEST,
            [week.trigger_key],
            NoticeChannel.EMAIL,
            week.digest_due_at,
        )


def plan_recoveries(session: Session, company_id: str, now: datetime, pause: timedelta) -> None:
    """Each payment is a trigger of its own, so a recovery that is reported late is not missed."""
    last = find_last(session, company_id, [NoticeKind.RECOVERY])
    if last is not None and now - last.due_at < pause:
        return
    since = find_recoveries_since(session, company_id) or now
    announced = exists().where(
        Notice.company_id == company_id,
        Notice.kind == NoticeKind.RECOVERY,
        Notice.trigger_key == Payment.payment_id,
    )
    new = select(Payment.payment_id).where(
        Payment.company_id == company_id,
        Payment.status == PaymentStatus.RECOVERED,
        Payment.recovered_at > max(since, now - STALE),
        Payment.recovered_by.in_(CLAIMED),
        ~announced,
    )
    queue_notices(
        session,
        company_id,
        NoticeKind.RECOVERY,
        session.scalars(new).all(),
        NoticeChannel.POST,
        now,
    )


def plan_problems(
    session: Session, company_id: str, notifications: NotificationSettings, now: datetime
) -> None:
    """Queues a notice for each new problem, and one for the end of each problem that was
    announced."""
    for kind, over in ENDINGS.items():
        last = find_last(session, company_id, [kind, over])
        announced = last is not None and last.kind == kind
        if not (notifications.on_problem or announced):
            continue
        active = is_active(session, company_id, kind, now)
        if announced and last is not None and active is False:
            queue_notices(session, company_id, over, [last.trigger_key], NoticeChannel.POST, now)
        cooled_down = last is None or now - last.due_at >= COOLDOWN
        if notifications.on_problem and active and not announced and cooled_down:
            start = now.isoformat(timespec="seconds")
            queue_notices(session, company_id, kind, [start], NoticeChannel.POST, now)


def is_active(session: Session, company_id: str, kind: NoticeKind, now: datetime) -> bool | None:
    """By the same assessment as the health page. None: another problem hides it."""
    match kind:
        case NoticeKind.KEY_REFUSED:
            heartbeat, sync = find_heartbeat(session), find_sync(session, company_id)
            return is_key_refused(assess_whop(heartbeat, sync, now))
        case NoticeKind.WEBHOOK_SILENT:
            missed = find_missed_webhooks(session, company_id, now)
            return missed is not None and assess_webhooks(missed, now) is WebhookState.SILENT
        case NoticeKind.MAILS_REFUSED:
            return find_account_refusal(session, Channel.EMAIL, company_id) is not None
        case _:
            delivery = measure_deliverability(session, company_id, now)
            return assess_deliverability(delivery) is DeliverabilityState.BOUNCING
