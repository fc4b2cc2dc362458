"""What can go wrong with a call to Whop, by what it means for a charge.

WhopError
├── NoAnswerError    it may or may not have happened: timeout, lost connection, 5xx, still running
├── DownError        nothing was sent: Whop has not answered for a while
├── BusyError        429, now or just before: it did not happen; ask again after `wait`
├── AccessError      401, 403: it did not happen; somebody must correct the key
│   └── UnfundedError  402: it did not happen; the account must fund its balance
├── NotFoundError    404: there is no such thing, or not for this key
└── RefusedError     any other 4xx: it did not happen, and asking again will not help
    └── ConflictError  409, 410: it did not happen; the thing is in another state, or gone
"""

from __future__ import annotations

import re
from datetime import timedelta

import httpx

from recovery.status import SyncError

DEFAULT_WAIT = timedelta(seconds=60)
LONGEST_WAIT = timedelta(hours=1)
SECONDS = re.compile(r"([0-9]{1,9})")
WRITTEN = re.compile(r"in ([0-9]{1,9}) second")
IN_PROGRESS = "idempotency_request_in_progress"


class WhopError(Exception):
    """Base of all errors here. str() is safe to log and to show."""


class NoAnswerError(WhopError):
    pass


class DownError(WhopError):
    pass


class BusyError(WhopError):
    def __init__(self, message: str, wait: timedelta) -> None:
        super().__init__(message)
        self.wait = wait


class AccessError(WhopError):
    pass


class UnfundedError(AccessError):
    pass


class NotFoundError(WhopError):
    pass


class RefusedError(WhopError):
    pass


class ConflictError(RefusedError):
    pass


def check(response: httpx.Response) -> None:
    """Raises the subclass that fits; returns on 2xx."""
    status = response.status_code
    if response.is_success:
        return
    code, message = read_error(response)
    text = f"Whop answered {status}: {message}"
    if status >= 500 or code == IN_PROGRESS or status == 408:
        raise NoAnswerError(text)
    if status == 429:
        raise BusyError(text, read_wait(response, message))
    if status in {401, 403}:
        raise AccessError(text)
    if status == 402:
        raise UnfundedError(text)
    if status == 404:
        raise NotFoundError(text)
    raise ConflictError(text) if status in {409, 410} else RefusedError(text)


def classify_sync_error(error: WhopError) -> SyncError:
    """What the error means for reading payments back."""
    match error:
        case UnfundedError():
            return SyncError.UNAVAILABLE
        case AccessError():
            return SyncError.ACCESS_DENIED
        case _:
            return SyncError.UNAVAILABLE


def read_error(response: httpx.Response) -> tuple[str | None, str]:
    """Code and message of `{"error": {"code", "message"}}`; any other body has "(no message)"."""
    try:
        error = response.json()["error"]
        return error.get("code"), str(error.get("message"))[:300]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, "(no message)"


def read_wait(response: httpx.Response, message: str) -> timedelta:
    """From the header, or from the text "Try again in 12 seconds." (whop-api.md 2.9)."""
    header = response.headers.get("retry-after", "")
    found = SECONDS.fullmatch(header) or WRITTEN.search(message)
    return min(timedelta(seconds=int(found[1])), LONGEST_WAIT) if found else DEFAULT_WAIT
