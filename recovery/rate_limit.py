"""What a rate limiter for calls to Whop guarantees, and how long a call may wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

# Longest wait for a turn. Much longer would outlast the lease of the payment being retried.
LONGEST_WAIT = timedelta(seconds=10)
# Turns that may be reserved ahead even if that takes longer: as many as two daemons have threads.
MOST_QUEUED = 25


class RateLimiter(Protocol):
    """Limits how often each operation is called."""

    def wait(self, operation: str) -> timedelta | None:
        """Blocks until the call may go out, then returns None. A timedelta: the next turn is that
        far off, and none was reserved."""

    def hold(self, operation: str, wait: timedelta) -> None:
        """No turn comes before `wait` is over, because Whop said so. Never shortens an earlier
        hold."""
