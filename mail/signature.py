"""Verifies the signature of SendGrid's event webhook.

The signature covers the timestamp and the raw body: ECDSA over P-256 with SHA-256. The public key
is given as base64 of its DER. SendGrid's own helper is not used: it ignores the timestamp, takes
the body as text, and raises binascii.Error for a malformed signature. A test compares ours with it.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
TOLERANCE = timedelta(minutes=5)
SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


class SignatureError(Exception):
    """Not proven to come from SendGrid. The text may be sent in the answer."""


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
