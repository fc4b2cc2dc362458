"""Keeps below Whop's limit of 600 calls a minute per operation and key (whop-api.md 2.9)."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

from recovery.rate_limit import LONGEST_WAIT, MOST_QUEUED


class RateLimit:
    """A RateLimiter for the threads of one process, or for simulated time."""

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.gap = 60 / per_minute
        self.longest = max(LONGEST_WAIT.total_seconds(), MOST_QUEUED * self.gap)
        self.clock, self.sleep = clock, sleep
        self.free_at: dict[str, float] = defaultdict(float)
        self.lock = threading.Lock()

    def wait(self, operation: str) -> timedelta | None:
        with self.lock:
            now = self.clock()
            start = max(now, self.free_at[operation])
            if (delay := start - now) > self.longest:
                return timedelta(seconds=delay)
            self.free_at[operation] = start + self.gap
        if delay > 0:
            self.sleep(delay)
        return None

    def hold(self, operation: str, wait: timedelta) -> None:
        with self.lock:
            until = self.clock() + wait.total_seconds()
            self.free_at[operation] = max(self.free_at[operation], until)
