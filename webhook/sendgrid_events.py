"""What comes back about our mails: SendGrid's events, and members who want no more of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from db.member_messages import delivery_events
from db.models import Company, Message
from db.session import DatabaseUnavailable, SessionFactory, find_outage, is_transient
from mail import events
from mail.links import read_unsubscribe_token
from webhook import pages
from webhook.group_commit import TRIES
from webhook.openapi import MAIL_EVENTS_PATH, UNSUBSCRIBE_PATH
from webhook.routes import AGAIN, STORED, greet, refuse
from webhook.settings import WebhookSettings
from webhook.verification import Refusal, read_body
from whop.client import MEMBERSHIPS_PAGE

log = logging.getLogger(__name__)

# SendGrid posts "when the batch size reaches 768 kilobytes", perhaps a little more, and tries it
# again for 24 hours. Whether it then signs anew is not documented; signed long ago, it is refused.
LARGEST_BATCH = 1024 * 1024
Result = TypeVar("Result")


class SendGridWebhook:
    def __init__(
        self, settings: WebhookSettings, sessions: SessionFactory, now: Callable[[], datetime]
    ) -> None:
        self.settings, self.sessions, self.now = settings, sessions, now
        key = settings.sendgrid_webhook_key
        self.key = events.load_key(key) if key else None

    def routes(self) -> APIRouter:
        router = APIRouter()
        for path, answer in (
            (MAIL_EVENTS_PATH, self.answer),
            (UNSUBSCRIBE_PATH, self.open_link),
        ):
            router.add_route(path, answer, methods=["GET", "POST"], include_in_schema=False)
        return router

    # --- SendGrid ------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        """A batch of SendGrid's events. 200 means that all of them are stored."""
        if request.method != "POST":
            return greet(request.method)
        try:
            headers = dict(request.headers)
            body = await read_body(headers, request.receive, LARGEST_BATCH)
            await run_in_threadpool(self.take, headers, body)
        except Refusal as refusal:
            return refuse(refusal.status, refusal.detail)
        except DatabaseUnavailable as error:
            return refuse(503, str(error), AGAIN)
        return STORED

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        now = self.now()
        self.authenticate(headers, body, now)
        try:
            reports = events.read_events(body, now)
        except events.MalformedError as error:
            raise Refusal(400, str(error)) from None
        except events.EventsError as error:
            raise Refusal(422, str(error)) from None
        new = self.commit(lambda session: delivery_events.record(session, reports, now))
        log.info("%d event(s) about mails, %d new", len(reports), new)

    def authenticate(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        if self.key is None and not self.settings.in_development:
            raise Refusal(404, "SENDGRID_WEBHOOK_KEY is not set: no events are taken")
        if self.key is None or (self.settings.in_development and not events.is_signed(headers)):
            return
        try:
            events.verify_signature(self.key, headers, body, now)
        except events.SignatureError as error:
            raise Refusal(401, str(error)) from None

    # --- members -------------------------------------------------------------------------------

    def open_link(self, request: Request) -> Response:
        """A GET shows a page with one button and changes nothing. A POST is that button, or the
        mail program's (RFC 8058); its body is not read: who posts to a link of ours means it."""
        secret = self.settings.link_secret.get_secret_value()
        message_id = read_unsubscribe_token(secret, request.path_params["token"])
        if message_id is None:
            return pages.deny()
        try:
            return self.end(message_id) if request.method == "POST" else self.ask(message_id)
        except DatabaseUnavailable:
            apology = pages.apologize()
            apology.headers.update(AGAIN)
            return apology

    def ask(self, message_id: int) -> Response:
        seller = self.commit(lambda session: find_seller(session, message_id))
        return pages.deny() if seller is None else pages.ask(seller.name)

    def end(self, message_id: int) -> Response:
        """No more messages; the payment is another matter."""
        now = self.now()
        if not self.commit(
            lambda session: delivery_events.record_opt_out(session, message_id, now)
        ):
            return pages.deny()
        log.info("message %d: its reader wants no more", message_id)
        return pages.confirm(MEMBERSHIPS_PAGE)

    # --- the database --------------------------------------------------------------------------

    def commit(self, work: Callable[[Session], Result]) -> Result:
        """In one transaction, again after a deadlock. Raises DatabaseUnavailable."""
        for _ in range(TRIES):
            try:
                with self.sessions.begin() as session:
                    return work(session)
            except SQLAlchemyError as error:
                if is_transient(error):
                    continue
                if outage := find_outage(error):
                    raise DatabaseUnavailable(outage) from None
                raise
        raise DatabaseUnavailable


def find_seller(session: Session, message_id: int) -> Company | None:
    """None: there is no such message."""
    return session.scalar(
        select(Company)
        .join(Message, Message.company_id == Company.id)
        .where(Message.id == message_id)
    )
