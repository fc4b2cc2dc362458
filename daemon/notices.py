"""Tells creators what they have chosen to be told. Planned, taken, sent and recorded are four
steps; no transaction is open while anything is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.orm import Session

from daemon.answers import BusyError, RejectedError, UncertainError
from daemon.posts import Poster
from db.company_settings.notifications import Alerts, find_alerts, list_listening
from db.creator_notices import queue as notices
from db.creator_notices.digest import find_name, measure_recoveries, measure_week
from db.creator_notices.queue import Errand
from db.creator_notices.triggers import plan_notices
from db.creator_notices.weeks import read_week
from db.reporting.attention import count_needed
from db.reporting.mail_health import find_digest_trouble, measure_deliverability
from db.reporting.summary import find_time_zone
from db.reporting.webhook_health import find_webhooks
from db.session import SessionFactory
from mail import posts
from mail.digest import write_digest
from mail.letters import Written
from recovery.health import WebhookState, judge_webhooks
from recovery.status import MessageState, NoticeKind

log = logging.getLogger(__name__)


class Sender(Protocol):
    """The mailer, as far as a digest needs it."""

    def send(
        self, address: str, written: Written, arguments: dict[str, str], *, category: str
    ) -> str | None: ...


class NothingToTellError(Exception):
    """The notice is passed over; str() says why."""


class Herald:
    """`pause`: from one post about recoveries to the next. Without a mailer no digest leaves."""

    def __init__(
        self,
        sessions: SessionFactory,
        mailer: Sender | None,
        poster: Poster,
        clock: Callable[[], datetime],
        pause: timedelta = timedelta(hours=1),
        dashboard_url: str = "http://localhost:3000",
    ) -> None:
        self.sessions, self.mailer, self.poster = sessions, mailer, poster
        self.clock, self.pause, self.dashboard_url = clock, pause, dashboard_url

    def tell_due(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Returns how many errands were run, whatever came of them."""
        with self.sessions.begin() as session:
            notices.give_up_interrupted(session, self.clock())
            listening = list_listening(session)
        for company_id in listening:
            with self.sessions.begin() as session:
                plan_notices(session, company_id, self.clock(), self.pause)
        told = 0
        while not stopping() and self.tell_one():
            told += 1
        return told

    def tell_one(self) -> bool:
        """False: there is nothing to tell, or somebody asks us to come later."""
        with self.sessions.begin() as session:
            errand = notices.take_errand(session, self.clock())
        if errand is None:
            return False
        state, detail = MessageState.SENT, None
        try:
            self.run_errand(errand)
        except NothingToTellError as error:
            state, detail = MessageState.SKIPPED, str(error)
        except BusyError as error:
            with self.sessions.begin() as session:
                notices.put_back(session, errand, str(error))
            return False
        except RejectedError as error:
            state, detail = MessageState.FAILED, str(error)
        except UncertainError as error:
            state, detail = MessageState.UNKNOWN, str(error)
        with self.sessions.begin() as session:
            notices.finish_errand(session, errand, state, self.clock(), detail)
        log.info("company %s notice %s: %s", errand.company_id, errand.kind, state)
        return True

    def run_errand(self, errand: Errand) -> None:
        """Raises MailError and NothingToTellError. The choices are those of this moment."""
        with self.sessions() as session:
            alerts = find_alerts(session, errand.company_id)
            if errand.kind is NoticeKind.DIGEST:
                address, written = self.write_digest(session, errand, alerts)
            else:
                post_url, text = self.write_post(session, errand, alerts)
        if errand.kind is NoticeKind.DIGEST:
            self.mail_digest(errand, address, written)
        else:
            self.poster.send(post_url, text)

    def mail_digest(self, errand: Errand, address: str, written: Written) -> None:
        if self.mailer is None:
            raise NothingToTellError("e-mail is switched off")
        arguments = {"company_id": errand.company_id, "notice_id": str(errand.notice_ids[0])}
        self.mailer.send(address, written, arguments, category=errand.kind)

    def write_digest(self, session: Session, errand: Errand, alerts: Alerts) -> tuple[str, Written]:
        if not alerts.digest or alerts.digest_to is None:
            raise NothingToTellError("the digest is switched off")
        dead = find_digest_trouble(session, errand.company_id)
        if dead is not None:
            raise NothingToTellError(f"no mail goes to the digest's address any more: {dead}")
        (occasion,) = errand.occasions
        week = read_week(occasion, find_time_zone(session, errand.company_id))
        digest = measure_week(session, errand.company_id, week)
        if digest.is_empty:
            raise NothingToTellError("nothing happened in that week")
        return alerts.digest_to, write_digest(digest, self.dashboard_url)

    def write_post(self, session: Session, errand: Errand, alerts: Alerts) -> tuple[str, str]:
        wanted = alerts.on_recovery if errand.kind is NoticeKind.RECOVERY else alerts.on_trouble
        if not wanted or alerts.post_url is None:
            raise NothingToTellError("such posts are switched off")
        return alerts.post_url, write_words(session, errand, self.clock())


def write_words(session: Session, errand: Errand, now: datetime) -> str:
    company_id = errand.company_id
    company = find_name(session, company_id)
    match errand.kind:
        case NoticeKind.RECOVERY:
            sums = measure_recoveries(session, company_id, errand.occasions)
            return posts.write_recoveries(company, *sums, count_needed(session, company_id))
        case NoticeKind.WEBHOOK_SILENT:
            webhooks = find_webhooks(session, company_id, now)
            since = webhooks.silent_since
            if since is None or judge_webhooks(webhooks, now) is not WebhookState.SILENT:
                raise NothingToTellError("webhooks arrive again")
            return posts.write_silence(company, since, find_time_zone(session, company_id))
        case NoticeKind.MAILS_BOUNCING:
            return posts.write_bouncing(company, measure_deliverability(session, company_id, now))
        case kind:
            return posts.write_plain(company, kind)
