"""How calls to Whop take turns: what a pacer promises, and how long one may wait for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

# For one's turn. Much longer would outlast the lease of the payment in hand.
LONGEST_WAIT = timedelta(seconds=10)
# Turns that may be taken ahead even if that is longer: as many as two daemons have threads.
MOST_QUEUED = 25


class RateLimiter(Protocol):
    """Gives each call of an operation its turn."""

    def wait(self, operation: str) -> timedelta | None:
        """Returns when the turn has come. Not None: it is that far off; no turn was taken."""

    def hold(self, operation: str, wait: timedelta) -> None:
        """Whop said to wait: nobody's turn comes earlier. Never shortens an earlier hold."""
