"""Checks a delivery step by step: size, type, signature, JSON, meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, NoReturn

import orjson
from starlette.types import Receive

from db.ledger.inbox import Event
from recovery.reports import ParsedEvent
from recovery.wording import UNSTORABLE
from webhook.settings import WebhookSettings
from whop.payloads import read_event
from whop.signature import SignatureError, is_signed, verify_signature
from whop.values import PayloadError

LARGEST_BODY = 256 * 1024
LONGEST_EVENT_ID = 255
# What Postgres cannot store in JSONB: NUL and halves of surrogate pairs. They are rare, so bodies
# are searched for them and cleaned only then.
ESCAPES = re.compile(rb"\\u(0000|[dD][89a-fA-F])")


class Refusal(Exception):
    """The delivery is answered with `status` and `detail`, and nothing is stored."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


async def read_body(
    headers: Mapping[str, str], receive: Receive, largest: int = LARGEST_BODY
) -> bytes:
    """Reads at most `largest` bytes, whatever the headers say. Raises Refusal."""
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refusal(415, "send application/json")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > largest:
        raise too_large(largest)
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the sender hung up")
        body += message.get("body", b"")
        if len(body) > largest:
            raise too_large(largest)
        if not message.get("more_body", False):
            return body


def too_large(largest: int) -> Refusal:
    return Refusal(413, f"the body is larger than {largest // 1024} KiB")


def authenticate(
    headers: Mapping[str, str], body: bytes, settings: WebhookSettings, now: datetime
) -> str:
    """The event's id. In development an unsigned event may have one made from its body. Raises
    Refusal."""
    if len(headers.get("webhook-id", "")) > LONGEST_EVENT_ID:
        raise Refusal(400, f"the webhook-id is longer than {LONGEST_EVENT_ID} characters")
    secrets = settings.webhook_secrets
    if settings.in_development and not (is_signed(headers) and secrets):
        return headers.get("webhook-id") or "unsigned:" + sha256(body).hexdigest()[:32]
    try:
        return verify_signature(secrets, headers, body, now)
    except SignatureError as error:
        raise Refusal(401, str(error)) from None


def read_delivery(event_id: str, body: bytes, now: datetime, default_company: str | None) -> Event:
    """Raises Refusal(400). JSON that makes no sense is returned as a poison event, with `error`."""
    content = parse(body)
    payload = body.decode()
    if ESCAPES.search(body):
        try:
            content = clean(content)
            payload = json.dumps(content, default=str)
        except RecursionError:
            raise Refusal(400, "the body is too deeply nested") from None
    try:
        parsed: ParsedEvent | None = read_event(content, now, default_company)
        error = None
    except PayloadError as problem:
        parsed, error = None, str(problem)
    kind = parsed.type if parsed else find_type(content)
    return Event(
        event_id=UNSTORABLE.sub("", event_id),
        payload=payload,
        parsed=parsed,
        type=kind,
        company_id=parsed.company_id if parsed else None,
        payment_id=parsed.payment_id if parsed else None,
        error=error,
    )


def parse(body: bytes) -> Any:
    """Tries the fast parser, then the tolerant one, which accepts half a surrogate pair.

    Neither accepts NaN or Infinity, which are not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body.decode(), parse_float=Decimal, parse_constant=refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def find_type(content: Any) -> str:
    kind = content.get("type") if isinstance(content, dict) else None
    return kind[:100] if isinstance(kind, str) else "unreadable"


def clean(value: Any) -> Any:
    if isinstance(value, str):
        return UNSTORABLE.sub("", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value
