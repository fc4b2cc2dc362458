"""What SendGrid's answers mean for an email: by status, and by what the body complains of; and how
long it asks us to wait.

SendGrid has no codes for its errors: a body is {"errors": [{"message", "field", "help"}]}. So the
status decides where it can, and the fields, which are names of the API, where it cannot. The words
only say that the account has used up its emails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from recovery.delivery import DeliveryState
from recovery.wording import make_plain


class Complaint(Enum):
    """Whom an error of SendGrid's concerns."""

    ACCOUNT = "account"
    ADDRESS = "address"
    EMAIL = "email"


# Nothing was accepted, and nothing of ours will be: the key, the account, the sender, or the
# address of SendGrid's API that we call. 403 is also SendGrid's answer to too many bad requests.
ACCOUNT = frozenset({401, 402, 403, 404, 405, 406, 407, 410, 415, 421, 426, 451, 511})
# Nothing was accepted now.
BUSY = frozenset({425, 429, 503})
# The server gave up while it read, or something between us did.
UNCERTAIN = frozenset({408, 499})
BY_COMPLAINT = {
    Complaint.ACCOUNT: DeliveryState.ACCOUNT_REFUSED,
    Complaint.ADDRESS: DeliveryState.ADDRESS_REFUSED,
    Complaint.EMAIL: DeliveryState.REFUSED,
}
FIELDS = (
    (re.compile(r"(from|reply_to|reply_to_list)\b"), Complaint.ACCOUNT),
    (re.compile(r"personalizations(\.\d+)?\.to\b"), Complaint.ADDRESS),
)
USED_UP = re.compile(r"credits exceeded|exceeded your messaging limits", re.IGNORECASE)
ADDRESS = re.compile(r"\S*@\S*")
LONGEST_REASON = 200
LONGEST_WAIT = timedelta(hours=1)
ACCEPTED = 202
CHECKED = 200


def judge_status(status: int, complaint: Complaint, *, sandbox_mode: bool = False) -> DeliveryState:
    """`complaint`: what the body complains of. Total: every status has an answer."""
    if status == ACCEPTED or (sandbox_mode and status == CHECKED):
        return DeliveryState.SENT
    if 300 <= status < 400 or status in ACCOUNT:
        return DeliveryState.ACCOUNT_REFUSED
    if status in UNCERTAIN:
        return DeliveryState.UNKNOWN
    if 400 <= status < 500 and complaint is Complaint.ACCOUNT:
        return DeliveryState.ACCOUNT_REFUSED
    if status in BUSY:
        return DeliveryState.PUT_OFF
    # An email that is too large is too large for every address.
    if status == 413:
        return DeliveryState.REFUSED
    return BY_COMPLAINT[complaint] if 400 <= status < 500 else DeliveryState.UNKNOWN


def read_complaint(body: bytes | str | None) -> tuple[Complaint, str]:
    """Whom it concerns, and SendGrid's words, without addresses. Empty: it said nothing readable.

    What concerns the account holds all emails up, so it comes first. Where the email itself is at
    fault too, its address may be a good one.
    """
    errors = read_errors(body)
    complaints = {judge_error(error) for error in errors}
    words = "; ".join(str(error["message"]) for error in errors if error.get("message"))
    said = make_plain(ADDRESS.sub("(address)", words), LONGEST_REASON)
    if Complaint.ACCOUNT in complaints:
        return Complaint.ACCOUNT, said
    return (Complaint.ADDRESS if complaints == {Complaint.ADDRESS} else Complaint.EMAIL), said


def judge_error(error: Mapping[str, Any]) -> Complaint:
    if USED_UP.search(str(error.get("message"))):
        return Complaint.ACCOUNT
    field = str(error.get("field"))
    return next((found for name, found in FIELDS if name.match(field)), Complaint.EMAIL)


def read_errors(body: bytes | str | None) -> list[dict[str, Any]]:
    try:
        errors = json.loads(body or "")["errors"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    return (
        [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    )


def read_wait(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Retry-After is in seconds or a date, X-RateLimit-Reset in Unix seconds. At most one hour.

    None: neither header can be read.
    """
    after = str(headers.get("Retry-After") or "").strip()
    reset = str(headers.get("X-RateLimit-Reset") or "").strip()
    wait: timedelta | None = None
    if is_seconds(after):
        wait = timedelta(seconds=int(after))
    elif after and (then := read_date(after)) is not None:
        wait = then - now
    elif is_seconds(reset):
        wait = datetime.fromtimestamp(int(reset), UTC) - now
    return None if wait is None else min(max(wait, timedelta()), LONGEST_WAIT)


def is_seconds(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 11


def read_date(text: str) -> datetime | None:
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return then.replace(tzinfo=UTC) if then.tzinfo is None else then
