"""Keeps below Whop's limit of 600 calls a minute per operation and key (whop-api.md 2.9)."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

# Longest wait for a turn. Much longer would outlast the lease of the payment being retried.
LONGEST_WAIT = timedelta(seconds=10)
# Turns that may be reserved ahead even if that takes longer: as many as two daemons have threads.
MOST_QUEUED = 25


def find_longest_wait(per_minute: int) -> timedelta:
    return max(LONGEST_WAIT, MOST_QUEUED * timedelta(minutes=1) / per_minute)


class RateLimiter(Protocol):
    """Limits how often each operation is called."""

    def wait(self, operation: str) -> timedelta | None:
        """Blocks until the call may go out, then returns None. A timedelta: the next turn is that
        far off, and none was reserved."""

    def hold(self, operation: str, wait: timedelta) -> None:
        """No turn comes before `wait` is over, because Whop said so. Never shortens an earlier
        hold."""


class RateLimit:
    """A RateLimiter for the threads of one process, or for simulated time."""

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.gap = 60 / per_minute
        self.longest = find_longest_wait(per_minute).total_seconds()
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
