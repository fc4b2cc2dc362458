"""Staying below Whop's limit: 600 calls a minute per operation and key (whop-api.md 2.9)."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable


class Pace:
    """Spreads calls evenly per operation, for all threads of the process."""

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.gap = 60 / per_minute
        self.clock, self.sleep = clock, sleep
        self.free_at: dict[str, float] = defaultdict(float)
        self.lock = threading.Lock()

    def wait(self, operation: str) -> None:
        with self.lock:
            start = max(self.clock(), self.free_at[operation])
            self.free_at[operation] = start + self.gap
        if (delay := start - self.clock()) > 0:
            self.sleep(delay)
