"""Signed unsubscribe links. They contain no address.

A link must work for at least 60 days and without a log-in. It works as long as LINK_SECRET stays
the same, and nobody can make one without that secret.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode

VERSION = 1
TOKEN = re.compile(r"1\.([1-9][0-9]{0,18})\.([A-Za-z0-9_-]{43})", re.ASCII)
LARGEST_ID = 2**63 - 1
PATH = "/unsubscribe/"


def make_unsubscribe_url(base_url: str, secret: str, message_id: int) -> str:
    return f"{base_url.rstrip('/')}{PATH}{VERSION}.{message_id}.{sign(secret, message_id)}"


def read_unsubscribe_token(secret: str, token: str) -> int | None:
    """The message that the link belongs to. None: we did not make this link."""
    found = TOKEN.fullmatch(token)
    if not secret or found is None or int(found[1]) > LARGEST_ID:
        return None
    message_id = int(found[1])
    return message_id if hmac.compare_digest(sign(secret, message_id), found[2]) else None


def sign(secret: str, message_id: int) -> str:
    """Signs the purpose too, so that no other signature made with the secret is valid here."""
    if not secret:
        raise ValueError("a link cannot be signed without LINK_SECRET")
    mark = hmac.digest(secret.encode(), f"unsubscribe/{VERSION}/{message_id}".encode(), "sha256")
    return urlsafe_b64encode(mark).decode().rstrip("=")
