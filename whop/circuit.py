"""A circuit breaker for Whop: after several calls without an answer none is sent for a while.

closed     every call is sent
open       no call is sent until the rest is over
half-open  one call is sent as a probe: any answer closes the circuit, none means a longer rest
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from whop.errors import DownError

log = logging.getLogger(__name__)

MOST_UNANSWERED = 5
FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(minutes=5)


class Circuit:
    """Shared by all threads. Each `begin_call` is followed by `record_answer` or
    `record_no_answer`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock, self.lock = clock, threading.Lock()
        self.missed = 0
        self.missed_since: datetime | None = None
        self.rest = FIRST_REST
        self.resting_until: datetime | None = None

    @property
    def down_since(self) -> datetime | None:
        """When the first call stayed without an answer. None: the circuit is closed."""
        with self.lock:
            return None if self.resting_until is None else self.missed_since

    def is_open(self) -> bool:
        """Whether a call made now would be refused."""
        with self.lock:
            return self.is_open_at(self.clock())

    def check(self) -> None:
        """Raises DownError while no call would be let through."""
        with self.lock:
            self.refuse_while_open(self.clock())

    def begin_call(self) -> None:
        """Comes just before a call is sent. Raises DownError."""
        with self.lock:
            now = self.clock()
            self.refuse_while_open(now)
            if self.resting_until is not None:
                # This call is the probe. The time of the next one is set already now, and later
                # than any call can last, so a probe that is cut off does not keep the circuit open.
                self.rest = min(self.rest * 2, LONGEST_REST)
                self.resting_until = now + self.rest

    def record_answer(self) -> None:
        with self.lock:
            if self.resting_until is not None:
                log.warning("Whop answers again")
            self.missed, self.missed_since = 0, None
            self.rest, self.resting_until = FIRST_REST, None

    def record_no_answer(self) -> None:
        with self.lock:
            now = self.clock()
            self.missed += 1
            self.missed_since = self.missed_since or now
            if self.missed >= MOST_UNANSWERED and self.resting_until is None:
                self.resting_until = now + self.rest
                log.warning("Whop did not answer %d calls in a row; none for now", self.missed)

    def is_open_at(self, now: datetime) -> bool:
        left = timedelta() if self.resting_until is None else self.resting_until - now
        # Longer only if the clock was set back.
        return timedelta() < left <= self.rest

    def refuse_while_open(self, now: datetime) -> None:
        if self.is_open_at(now):
            raise DownError(f"not sent: Whop has not answered since {self.missed_since:%H:%M:%S}")
