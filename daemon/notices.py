"""Sends creators the notices they have switched on: the digest, and posts to Discord or Slack.

A notice is planned, taken, sent and recorded in separate transactions; none is open while it is
sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.orm import Session

from daemon.clients import EmailClient, PostClient
from daemon.workers import never, run_each, run_until_empty
from db.company_settings.notifications import (
    NotificationSettings,
    find_notification_settings,
    list_notified,
)
from db.creator_notices import queue as notices
from db.creator_notices.digest import Digest, find_name, measure_recoveries, measure_week
from db.creator_notices.queue import NoticeBatch
from db.creator_notices.triggers import plan_notices
from db.creator_notices.weeks import read_week
from db.reporting.attention import count_needed
from db.reporting.mail_health import find_digest_failure, measure_deliverability
from db.reporting.summary import find_time_zone
from db.reporting.webhook_health import find_webhooks
from db.session import SessionFactory
from mail import posts
from mail.digest import write_digest
from recovery.delivery import Delivery, DeliveryState, skipped
from recovery.health import WebhookState, assess_webhooks
from recovery.status import NoticeKind

log = logging.getLogger(__name__)


class CreatorNotifier:
    """`pause` is the shortest time between two posts about recoveries. Without a mailer no digest
    is sent."""

    def __init__(
        self,
        sessions: SessionFactory,
        mailer: EmailClient | None,
        poster: PostClient,
        clock: Callable[[], datetime],
        pause: timedelta = timedelta(hours=1),
        dashboard_url: str = "http://localhost:3000",
    ) -> None:
        self.sessions, self.mailer, self.poster = sessions, mailer, poster
        self.clock, self.pause, self.dashboard_url = clock, pause, dashboard_url

    def notify_due(self, stopping: Callable[[], bool] = never) -> int:
        """Returns the number of batches handled, whether they were sent or not."""
        with self.sessions.begin() as session:
            notices.give_up_interrupted(session, self.clock())
            listening = list_notified(session)
        run_each(listening, self.plan, stopping, "its notices could not be planned")
        # A batch whose sending raised is given up, not sent again.
        return run_until_empty(
            self.send_one_notice, stopping=stopping, failure="a notice could not be sent"
        ).done

    def plan(self, company_id: str) -> None:
        with self.sessions.begin() as session:
            plan_notices(session, company_id, self.clock(), self.pause)

    def send_one_notice(self) -> bool:
        """False: nothing is due, or the service asks us to come back later."""
        with self.sessions.begin() as session:
            batch = notices.take_batch(session, self.clock())
        if batch is None:
            return False
        delivery = self.send_batch(batch)
        with self.sessions.begin() as session:
            state = notices.finish_batch(session, batch, delivery, self.clock())
        why = f" ({delivery.detail})" if delivery.detail else ""
        log.info("company %s notice %s: %s%s", batch.company_id, batch.kind, state, why)
        return delivery.state is not DeliveryState.PUT_OFF

    def send_batch(self, batch: NoticeBatch) -> Delivery:
        """Uses the creator's settings as they are now, not as they were when it was planned."""
        with self.sessions() as session:
            notifications = find_notification_settings(session, batch.company_id)
            if batch.kind is NoticeKind.DIGEST:
                send = self.prepare_digest(session, batch, notifications)
            else:
                send = self.prepare_post(session, batch, notifications)
        return send()

    def prepare_digest(
        self, session: Session, batch: NoticeBatch, notifications: NotificationSettings
    ) -> Callable[[], Delivery]:
        if not notifications.digest or notifications.digest_to is None:
            return partial(skipped, "the digest is switched off")
        dead = find_digest_failure(session, batch.company_id)
        if dead is not None:
            return partial(skipped, f"no email goes to the digest's address any more: {dead}")
        digest = self.measure_digest(session, batch)
        if digest.is_empty:
            return partial(skipped, "nothing happened in that week")
        if self.mailer is None:
            return partial(skipped, "email is switched off")
        written = write_digest(digest, self.dashboard_url)
        arguments = {"company_id": batch.company_id, "notice_id": str(batch.notice_ids[0])}
        return partial(
            self.mailer.send, notifications.digest_to, written, arguments, category=batch.kind
        )

    def measure_digest(self, session: Session, batch: NoticeBatch) -> Digest:
        (trigger_key,) = batch.trigger_keys
        week = read_week(trigger_key, find_time_zone(session, batch.company_id))
        return measure_week(session, batch.company_id, week)

    def prepare_post(
        self, session: Session, batch: NoticeBatch, notifications: NotificationSettings
    ) -> Callable[[], Delivery]:
        wanted = (
            notifications.on_recovery
            if batch.kind is NoticeKind.RECOVERY
            else notifications.on_problem
        )
        if not wanted or notifications.post_url is None:
            return partial(skipped, "such posts are switched off")
        text = write_post(session, batch, self.clock())
        if text is None:
            return partial(skipped, "webhooks arrive again")
        return partial(self.poster.send, notifications.post_url, text)


def write_post(session: Session, batch: NoticeBatch, now: datetime) -> str | None:
    """None: the problem that the post was about is over."""
    company_id = batch.company_id
    company = find_name(session, company_id)
    match batch.kind:
        case NoticeKind.RECOVERY:
            recovered = measure_recoveries(session, company_id, batch.trigger_keys)
            return posts.write_recoveries(company, recovered, count_needed(session, company_id))
        case NoticeKind.WEBHOOK_SILENT:
            webhooks = find_webhooks(session, company_id, now)
            since = webhooks.silent_since
            if since is None or assess_webhooks(webhooks, now) is not WebhookState.SILENT:
                return None
            return posts.write_silence(company, since, find_time_zone(session, company_id))
        case NoticeKind.MAILS_BOUNCING:
            return posts.write_bouncing(company, measure_deliverability(session, company_id, now))
        case kind:
            return posts.write_plain(company, kind)
