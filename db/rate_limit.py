"""Whop's rate limit, shared by all daemons of a database: one row per key and operation.

Only the database's clock counts, so daemons with different clocks agree. A turn is committed before
it is used: a crash between the two wastes a turn, and never uses one twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import text

from db.session import SessionFactory

# `clock_timestamp()` and not `now()`, since the statement may have waited for the row's lock.
TAKE = text("""
insert into rate_limits (credential, operation, free_at)
values (:credential, :operation, clock_timestamp() + :gap)
on conflict (credential, operation) do update
set free_at = greatest(rate_limits.free_at, clock_timestamp()) + :gap
where rate_limits.free_at <= clock_timestamp() + :longest
returning free_at - :gap - clock_timestamp()
""")
PEEK = text("""
select free_at - clock_timestamp() from rate_limits
where credential = :credential and operation = :operation
""")
HOLD = text("""
insert into rate_limits (credential, operation, free_at)
values (:credential, :operation, clock_timestamp() + :wait)
on conflict (credential, operation) do update
set free_at = greatest(rate_limits.free_at, excluded.free_at)
""")


def fingerprint(key: str) -> str:
    """Distinguishes keys without revealing them."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


class SharedRateLimit:
    """A `RateLimiter` of the room `whop`. Raises where the database is away: no call goes
    unlimited. `longest_wait`: no turn is reserved that is further off."""

    def __init__(
        self,
        sessions: SessionFactory,
        per_minute: int,
        credential: str,
        longest_wait: timedelta,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.sessions, self.credential, self.sleep = sessions, credential, sleep
        self.gap = timedelta(minutes=1) / per_minute
        self.longest = longest_wait

    def wait(self, operation: str) -> timedelta | None:
        delay, taken = self.reserve(operation)
        if not taken:
            return delay
        if delay > timedelta():
            # It must not sleep in a transaction.
            self.sleep(delay.total_seconds())
        return None

    def reserve(self, operation: str) -> tuple[timedelta, bool]:
        """How far off the next turn is, and whether it was reserved; it is not if it is too far
        off."""
        whose = {"credential": self.credential, "operation": operation}
        with self.sessions.begin() as session:
            limits = {"gap": self.gap, "longest": self.longest}
            delay: timedelta | None = session.scalar(TAKE, whose | limits)
            if delay is not None:
                return delay, True
            return session.execute(PEEK, whose).scalar_one(), False

    def hold(self, operation: str, wait: timedelta) -> None:
        whose = {"credential": self.credential, "operation": operation}
        with self.sessions.begin() as session:
            session.execute(HOLD, whose | {"wait": wait})
