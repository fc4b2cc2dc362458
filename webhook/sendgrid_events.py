"""Receives SendGrid's events about our emails, and serves the unsubscribe links in them."""

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

from db.ledger.attribution import record_mail_events
from db.member_messages import delivery_events
from db.models import Company, Message
from db.outages import DatabaseUnavailable, Outage, find_outage, is_transient
from db.session import SessionFactory
from mail import events, signature
from mail.links import read_unsubscribe_token
from webhook import pages
from webhook.group_commit import TRIES
from webhook.openapi import MAIL_EVENTS_PATH, UNSUBSCRIBE_PATH
from webhook.routes import RETRY_LATER, STORED, answer_get, refuse
from webhook.settings import WebhookSettings
from webhook.verification import Refusal, read_body
from whop.memberships import MEMBERSHIPS_PAGE

log = logging.getLogger(__name__)

# Bytes, the only limit of a batch: SendGrid posts "when the batch size reaches 768 kilobytes"
# (Event Webhook, "Getting started"), so a batch may be larger by its last event. It retries for 24
# hours. Whether a retry is signed anew is not documented; an old signature is refused.
LARGEST_BATCH = 1024 * 1024
Result = TypeVar("Result")


class SendGridWebhook:
    def __init__(
        self, settings: WebhookSettings, sessions: SessionFactory, now: Callable[[], datetime]
    ) -> None:
        self.settings, self.sessions, self.now = settings, sessions, now
        self.keys = [signature.load_key(key) for key in settings.sendgrid_webhook_keys]

    def routes(self) -> APIRouter:
        router = APIRouter()
        for path, answer in (
            (MAIL_EVENTS_PATH, self.answer),
            (UNSUBSCRIBE_PATH, self.answer_unsubscribe),
        ):
            router.add_route(path, answer, methods=["GET", "POST"], include_in_schema=False)
        return router

    # --- SendGrid ------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        """Receives a batch of SendGrid's events. 200 means that all of them are stored."""
        if request.method != "POST":
            return answer_get(request.method)
        try:
            headers = dict(request.headers)
            body = await read_body(headers, request.receive, LARGEST_BATCH)
            await run_in_threadpool(self.store_events, headers, body)
        except Refusal as refusal:
            return refuse(refusal.status, refusal.detail)
        except DatabaseUnavailable as error:
            return refuse(503, str(error), RETRY_LATER)
        return STORED

    def store_events(self, headers: Mapping[str, str], body: bytes) -> None:
        now = self.now()
        self.authenticate(headers, body, now)
        try:
            reports = events.read_events(body, now)
        except events.MalformedError as error:
            raise Refusal(400, str(error)) from None
        except events.EventsError as error:
            raise Refusal(422, str(error)) from None
        new = self.commit(lambda session: record_mail_events(session, reports, now))
        log.info("%d email event(s) received, %d new", len(reports), new)

    def authenticate(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        if not self.keys and not self.settings.in_development:
            raise Refusal(404, "SENDGRID_WEBHOOK_KEY is not set: events are not accepted")
        if not self.keys or (self.settings.in_development and not signature.is_signed(headers)):
            return
        refusal = Refusal(401, "the signature does not match")
        for key in self.keys:
            try:
                return signature.verify_signature(key, headers, body, now)
            except signature.SignatureError as error:
                refusal = Refusal(401, str(error))
        raise refusal

    # --- members -------------------------------------------------------------------------------

    def answer_unsubscribe(self, request: Request) -> Response:
        """A GET shows a page with a button and changes nothing.

        A POST comes from that button or from the mail program (RFC 8058). Its body is not read:
        posting to the signed link is enough.
        """
        secret = self.settings.link_secret.get_secret_value()
        message_id = read_unsubscribe_token(secret, request.path_params["token"])
        if message_id is None:
            return pages.show_unknown_link()
        try:
            return (
                self.unsubscribe(message_id)
                if request.method == "POST"
                else self.show_question(message_id)
            )
        except DatabaseUnavailable:
            unavailable = pages.show_unavailable()
            unavailable.headers.update(RETRY_LATER)
            return unavailable

    def show_question(self, message_id: int) -> Response:
        seller = self.commit(lambda session: find_seller(session, message_id))
        return pages.show_unknown_link() if seller is None else pages.show_question(seller.name)

    def unsubscribe(self, message_id: int) -> Response:
        """Stops all messages to this member. Retries of the payment go on."""
        now = self.now()
        if not self.commit(
            lambda session: delivery_events.record_opt_out(session, message_id, now)
        ):
            return pages.show_unknown_link()
        log.info("message %d: the member unsubscribed", message_id)
        return pages.show_confirmation(MEMBERSHIPS_PAGE)

    # --- the database --------------------------------------------------------------------------

    def commit(self, work: Callable[[Session], Result]) -> Result:
        """Runs `work` in one transaction, again after a deadlock. Raises DatabaseUnavailable."""
        outage = None
        for _ in range(TRIES):
            try:
                with self.sessions.begin() as session:
                    return work(session)
            except SQLAlchemyError as error:
                outage = find_outage(error)
                if is_transient(error):
                    continue
                if outage:
                    raise DatabaseUnavailable(outage) from None
                raise
        raise DatabaseUnavailable(outage or Outage.AWAY)


def find_seller(session: Session, message_id: int) -> Company | None:
    """None: there is no such message."""
    return session.scalar(
        select(Company)
        .join(Message, Message.company_id == Company.id)
        .where(Message.id == message_id)
    )
