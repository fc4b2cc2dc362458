"""SendGrid's side of the event webhook, by its definition and not by our own code."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.models import Message
from db.session import SessionFactory
from recovery.status import Channel, MessageState, Step
from tests.factories import COMPANY, NOW, SECRET, add_payment, encode, numbers
from webhook.app import create_app
from webhook.settings import WebhookSettings

PATH = "/webhook/sendgrid"
LINK_SECRET = "a secret of the links in tests, long enough"

PRIVATE = ec.derive_private_key(2026_11_20, ec.SECP256R1())
STRANGER = ec.derive_private_key(666, ec.SECP256R1())


def show_key(private: ec.EllipticCurvePrivateKey = PRIVATE) -> str:
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


def sign_events(
    body: bytes, at: datetime = NOW, private: ec.EllipticCurvePrivateKey = PRIVATE
) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    mark = private.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": b64encode(mark).decode(),
        "x-twilio-email-event-webhook-timestamp": timestamp,
    }


# What the messages of `add_message` are about: events name it too.
ABOUT: dict[int, tuple[str, Step]] = {}
STRANGE = ("pay_strange", Step.PAYMENT_FAILED)


def mail_event(kind: str, message_id: int, at: datetime = NOW, **more: Any) -> dict[str, Any]:
    """One of SendGrid's events: a mail's custom arguments stand beside its own fields."""
    payment_id, step = ABOUT.get(message_id, STRANGE)
    return {
        "email": "jo@example.com",
        "timestamp": int(at.timestamp()),
        "event": kind,
        "sg_event_id": f"event_{next(numbers)}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001",
        "category": ["failed-payment", "payment_failed"],
        "company_id": COMPANY,
        "message_id": str(message_id),
        "payment_id": payment_id,
        "step": step,
    } | more


def bare_event(kind: str, email_id: str, at: datetime = NOW, **more: Any) -> dict[str, Any]:
    """One that comes hours later, from a server that keeps nothing of what was sent along."""
    event = mail_event(kind, 0, at)
    for name in ("message_id", "company_id", "payment_id", "step"):
        del event[name]
    return event | {"sg_message_id": email_id} | more


def batch(*events: Any) -> bytes:
    return encode(list(events))


def make_settings(**overrides: Any) -> WebhookSettings:
    values = {"environment": "production", "whop_webhook_secret": SECRET, "api_token": "t0ken"}
    values |= {"sendgrid_webhook_key": show_key(), "link_secret": LINK_SECRET}
    return WebhookSettings(_env_file=None, **(values | overrides))


class MailReceiver:
    """The receiver without a socket, as SendGrid and members meet it."""

    def __init__(self, engine: Engine, **overrides: Any) -> None:
        self.app = create_app(make_settings(**overrides), engine, lambda: NOW)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def send(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return self.request("POST", PATH, content=body, headers=headers)

    def deliver(self, *events: Any) -> httpx.Response:
        body = batch(*events)
        return self.send(body, sign_events(body))


def add_message(
    session: Session,
    state: MessageState = MessageState.SENT,
    provider_id: str | None = None,
    **payment: Any,
) -> int:
    """A mail to jo@example.com about a payment that has just failed, and as its only message."""
    failed = add_payment(session, **payment)
    message = session.scalars(
        select(Message).where(Message.payment_id == failed.payment_id)
    ).one_or_none()
    if message is None:
        message = Message(
            payment_id=failed.payment_id,
            company_id=failed.company_id,
            step=Step.PAYMENT_FAILED,
            channel=Channel.EMAIL,
            due_at=NOW,
            state=MessageState.QUEUED,
        )
        session.add(message)
    message.state, message.provider_id = state, provider_id
    message.sent_at = NOW if state is MessageState.SENT else None
    session.commit()
    ABOUT[message.id] = (message.payment_id, message.step)
    return message.id


def get_message(sessions: SessionFactory, message_id: int) -> Message:
    with sessions() as session:
        return session.get_one(Message, message_id)
