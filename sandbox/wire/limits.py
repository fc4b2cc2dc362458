"""Whop's rate limit: requests per minute for each operation and credential."""

import math
from datetime import datetime, timedelta
from threading import Lock

from sandbox.wire.exchange import ApiError

WINDOW = timedelta(minutes=1)


class Limits:
    """A window starts with the first request after the last one ended (an assumption)."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.counts: dict[tuple[str, str], tuple[datetime, int]] = {}
        self.refused = 0

    def count(self, operation: str, credential: str, allowed: int, now: datetime) -> None:
        with self.lock:
            began, count = self.counts.get((operation, credential), (now, 0))
            if now >= began + WINDOW:
                began, count = now, 0
            if count >= allowed:
                self.refused += 1
                raise exceeded((began + WINDOW - now).total_seconds())
            self.counts[operation, credential] = (began, count + 1)


def exceeded(seconds: float) -> ApiError:
    wait = max(1, math.ceil(seconds))
    return ApiError(429, "rate_limit_exceeded", f"Try again in {wait} seconds.")
