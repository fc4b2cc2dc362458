"""Signs events as SendGrid does.

The key pair is derived from the API key, so that the public key is known when the sandbox is set
up.
"""

from base64 import b64encode
from datetime import datetime
from hashlib import sha512

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SENDGRID_KEY = "SG.sandbox"
# The order of the curve P-256.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Signer:
    """A test key. It is derived from public data and protects nothing."""

    def __init__(self, api_key: str) -> None:
        drawn = int.from_bytes(sha512(f"mail events/{api_key}".encode()).digest())
        self.private_key = ec.derive_private_key(drawn % (ORDER - 1) + 1, ec.SECP256R1())

    @property
    def public_key(self) -> str:
        """In SendGrid's format: base64 of DER."""
        shown = self.private_key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return b64encode(shown).decode()

    def sign(self, body: bytes, at: datetime) -> dict[str, str]:
        """The headers of a delivery. Deterministic: same body and time, same signature."""
        timestamp = str(int(at.timestamp()))
        how = ec.ECDSA(SHA256(), deterministic_signing=True)
        mark = self.private_key.sign(timestamp.encode() + body, how)
        return {
            "content-type": "application/json",
            "x-twilio-email-event-webhook-signature": b64encode(mark).decode(),
            "x-twilio-email-event-webhook-timestamp": timestamp,
        }
