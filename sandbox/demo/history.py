"""Six months of one creator's life, lived through the real code.

Nothing is inserted: at each past moment the simulated Whop signs webhooks, the receiver's code
takes them in, and the daemon's cycle asks, charges and writes, all told what time it is.
Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from db.session import SessionFactory
from recovery.retry_policy import RetryRules
from sandbox.demo.in_process import InProcessStack
from sandbox.demo.live import Settings

DAYS = 182
# Failing ones, at the start and at the end: the creator grows.
RENEWALS_PER_DAY = (2.2, 3.6)
HOUR = timedelta(hours=1)
LATE_FAILURES, LATELY = 8, timedelta(seconds=75)
# Kept in the sandbox's store: unix seconds, and 0 or 1.
SIMULATED_UNTIL, FINISHED = "history_lived_until", "history_finished"


def simulate_history(
    sessions: SessionFactory,
    settings: Settings,
    now: datetime,
    report: Callable[[str], None],
    days: int = DAYS,
) -> None:
    """Lives the last `days` up to this hour, from where an earlier run left off."""
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(days=days)
    stack = InProcessStack(sessions, settings, start)
    store = stack.world.store
    simulated_until = datetime.fromtimestamp(
        store.number(SIMULATED_UNTIL, int(start.timestamp())), UTC
    )
    if store.number(FINISHED, 0):
        store.close()
        return
    hour = start + HOUR
    for day, failures in enumerate(plan_failures(Random(stack.world.seed), start, days)):
        for _ in range(24):
            if hour > simulated_until:
                stack.run_hour(hour, [at for at in failures if hour - HOUR < at <= hour])
                store.set_number(SIMULATED_UNTIL, int(hour.timestamp()))
            hour += HOUR
        if day % 14 == 13:
            report(f"lived through {day + 1} of {days} days")
    store.set_number(FINISHED, 1)
    store.close()


def add_recent_failures(
    sessions: SessionFactory, settings: Settings, now: datetime, rules: RetryRules
) -> None:
    """A few failures of the last minutes, under the live rules: the first cycle has work to do."""
    first = now - LATELY * (LATE_FAILURES + 1)
    stack = InProcessStack(sessions, settings, first, rules)
    # What fell due since the world last moved is heard at its own time, however long ago.
    stack.clock.now = min(first, stack.world.next_due() or first)
    stack.world.advance(first)
    for number in range(1, LATE_FAILURES + 1):
        stack.clock.now = first + LATELY * number
        stack.world.fail_renewal(stack.clock.now)
    stack.world.store.close()


def plan_failures(random: Random, start: datetime, days: int) -> list[list[datetime]]:
    """When renewals fail, day by day: more as the creator grows."""
    first, last = RENEWALS_PER_DAY
    plan = []
    for day in range(days):
        expected = first + (last - first) * day / days
        number = int(expected) + (random.random() < expected % 1) + random.choice((-1, 0, 0, 1))
        times = [
            start + timedelta(days=day, seconds=random.uniform(1, 86_399)) for _ in range(number)
        ]
        plan.append(sorted(times))
    return plan
