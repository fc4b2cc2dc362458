"""Verifies and reads SendGrid's event webhook.

The signature covers the timestamp and the raw body: ECDSA over P-256 with SHA-256. The public key
is given as base64 of its DER. SendGrid's own helper is not used: it ignores the timestamp, takes
the body as text, and raises binascii.Error for a malformed signature. A test compares ours with it.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from db.member_messages.delivery_events import MailReport
from recovery.status import DeliveryFailure, MailEventKind

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
TOLERANCE = timedelta(minutes=5)
MOST_EVENTS = 1000
SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
LARGEST_ID = 2**63 - 1
EVENT_ID = re.compile(r"[\x21-\x7e]{1,255}")

KINDS = {
    "processed": MailEventKind.PROCESSED,
    "deferred": MailEventKind.DEFERRED,
    "delivered": MailEventKind.DELIVERED,
    "open": MailEventKind.OPENED,
    "click": MailEventKind.CLICKED,
    "bounce": MailEventKind.BOUNCED,
    "dropped": MailEventKind.DROPPED,
    "spamreport": MailEventKind.SPAM_REPORT,
    "unsubscribe": MailEventKind.UNSUBSCRIBED,
    "group_unsubscribe": MailEventKind.UNSUBSCRIBED,
}
ENDS = {
    MailEventKind.BOUNCED: DeliveryFailure.BOUNCED,
    MailEventKind.SPAM_REPORT: DeliveryFailure.SPAM_REPORT,
    MailEventKind.UNSUBSCRIBED: DeliveryFailure.UNSUBSCRIBED,
}
# SendGrid's reasons that concern the address. Its others ("Invalid SMTPAPI header", "Spam Content")
# concern the email, not its reader.
DROP_REASONS = {
    "bounced address": DeliveryFailure.BOUNCED,
    "spam reporting address": DeliveryFailure.SPAM_REPORT,
    "unsubscribed address": DeliveryFailure.UNSUBSCRIBED,
    "invalid": DeliveryFailure.DROPPED,
}


class SignatureError(Exception):
    """Not proven to come from SendGrid. The text may be sent in the answer."""


class EventsError(Exception):
    """The body is not what SendGrid sends."""


class MalformedError(EventsError):
    """The body is not JSON."""


def load_key(text: str) -> EllipticCurvePublicKey:
    """Reads a public key as SendGrid shows it: base64 of DER. Raises ValueError."""
    try:
        key = load_der_public_key(b64decode(text.strip(), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is not a public key as SendGrid shows it (MFkw…)") from None
    if not (isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)):
        raise ValueError("it is a public key of another kind than SendGrid's")
    return key


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether there is a signature at all. If so it must be valid, in development too."""
    return SIGNATURE in headers or TIMESTAMP in headers


def verify_signature(
    key: EllipticCurvePublicKey, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """`headers` with lower-case names. Raises SignatureError."""
    signature, timestamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
    if not (signature and timestamp):
        raise SignatureError(f"the {SIGNATURE} and {TIMESTAMP} headers are required")
    if not SECONDS.fullmatch(timestamp):
        raise SignatureError("the timestamp is not in unix seconds")
    if abs(now - datetime.fromtimestamp(int(timestamp), UTC)) > TOLERANCE:
        raise SignatureError("the timestamp is more than 5 minutes off")
    try:
        key.verify(b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise SignatureError("the signature does not match") from None


def read_events(body: bytes, now: datetime) -> list[MailReport]:
    """The events that may concern one of our messages. Raises EventsError.

    Unknown and malformed events are skipped. If they were refused, SendGrid would resend the whole
    batch for a day and then drop it, valid events included.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedError("the body is not JSON") from None
    if not isinstance(parsed, list) or not 1 <= len(parsed) <= MOST_EVENTS:
        raise EventsError(f"send an array of 1 to {MOST_EVENTS} events")
    found = (read_event(event, now) for event in parsed if isinstance(event, dict))
    return [report for report in found if report is not None]


def read_event(event: Mapping[str, Any], now: datetime) -> MailReport | None:
    kind = KINDS.get(text_of(event, "event"))
    event_id, company_id = text_of(event, "sg_event_id"), text_of(event, "company_id")
    message_id = read_number(text_of(event, "message_id"))
    if kind is None or message_id is None or not EVENT_ID.fullmatch(event_id) or not company_id:
        return None
    if kind is MailEventKind.BOUNCED and text_of(event, "type") == "blocked":
        kind = MailEventKind.BLOCKED
    ends = ENDS.get(kind)
    if kind is MailEventKind.DROPPED:
        ends = DROP_REASONS.get(text_of(event, "reason").strip().lower())
    happened_at = read_time(event.get("timestamp"), now)
    return MailReport(event_id, message_id, company_id, kind, happened_at, ends)


def read_time(value: Any, now: datetime) -> datetime:
    """Unix seconds. Invalid times and times in the future count as now."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return now
    return datetime.fromtimestamp(min(float(value), now.timestamp()), UTC)


def read_number(text: str) -> int | None:
    """Reads a message id, which is text because custom arguments always are."""
    return int(text) if NUMBER.fullmatch(text) and int(text) <= LARGEST_ID else None


def text_of(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""
