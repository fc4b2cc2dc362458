"""Whop's webhook signature: Standard Webhooks, keyed with the literal bytes of the `ws_…` secret.

The standardwebhooks package is not used: it base64-decodes the secret, reads the clock itself, and
raises ValueError and binascii.Error on malformed headers (whop-api.md 4.3). A test compares this
module with the official SDK.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(minutes=5)
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class SignatureError(Exception):
    """Nothing proves that it comes from Whop. The message is safe to return to the sender."""


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether it has any of a signature's headers. It must then be valid, also in development."""
    return any(name in headers for name in HEADERS)


def verify_signature(
    secrets: tuple[str, ...], headers: Mapping[str, str], body: bytes, now: datetime
) -> str:
    """Returns the webhook's id. One of the secrets must have signed it. `headers` have lower-case
    names. Raises SignatureError."""
    if not all(secrets) or not secrets:
        # An empty key is forgeable.
        raise SignatureError("no webhook secret is configured")
    event_id, timestamp, signatures = (headers.get(name, "") for name in HEADERS)
    if not (event_id and timestamp and signatures):
        raise SignatureError("the webhook-id, -timestamp and -signature headers are required")
    sent_at = read_timestamp(timestamp)
    if abs(now - sent_at) > TOLERANCE:
        raise SignatureError("the webhook timestamp is more than 5 minutes off")
    signed = f"{event_id}.{timestamp}.".encode() + body
    candidates = signatures.encode("utf-8", "replace").split(b" ")
    matches = [
        hmac.compare_digest(sign(secret, signed), candidate)
        for secret in secrets
        for candidate in candidates
    ]
    if not any(matches):
        raise SignatureError("the webhook signature does not match")
    return event_id


def sign(secret: str, signed: bytes) -> bytes:
    return b"v1," + b64encode(hmac.digest(secret.encode(), signed, "sha256"))


def read_timestamp(value: str) -> datetime:
    if not (value.isascii() and value.isdigit() and len(value) <= 11):
        raise SignatureError("the webhook timestamp is not in unix seconds")
    return datetime.fromtimestamp(int(value), UTC)
