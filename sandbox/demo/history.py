"""Makes the demo's history: six months of one creator's payments, through the real code.

No row is inserted by hand. At each past moment the simulated Whop sends signed webhooks, the
receiver's code stores them, and the daemon's cycle reads, charges and sends messages, all on a
simulated clock. If interrupted, it resumes where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from db.session import SessionFactory
from recovery.retrying.context import RetryRules
from sandbox.demo.in_process import InProcessStack
from sandbox.demo.live import Settings

DAYS = 182
# Failing renewals per day at the start and at the end: the creator grows.
RENEWALS_PER_DAY = (2.2, 3.6)
HOUR = timedelta(hours=1)
LATE_FAILURES, LATELY = 8, timedelta(seconds=75)
# Numbers in the sandbox's store: Unix seconds, and 0 or 1.
SIMULATED_UNTIL, FINISHED = "history_lived_until", "history_finished"


def simulate_history(
    sessions: SessionFactory,
    settings: Settings,
    now: datetime,
    report: Callable[[str], None],
    days: int = DAYS,
) -> None:
    """Simulates the last `days` up to this hour, from where an earlier run stopped."""
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
            report(f"{day + 1} of {days} days are done")
    store.set_number(FINISHED, 1)
    store.close()


def add_recent_failures(
    sessions: SessionFactory, settings: Settings, now: datetime, rules: RetryRules
) -> None:
    """Adds a few failures of the last minutes, so that the daemon's first cycle has work to do."""
    first = now - LATELY * (LATE_FAILURES + 1)
    stack = InProcessStack(sessions, settings, first, rules)
    # Events that are due since the last run are received at their own time, however long ago.
    stack.clock.now = min(first, stack.world.next_due() or first)
    stack.world.advance(first)
    for number in range(1, LATE_FAILURES + 1):
        stack.clock.now = first + LATELY * number
        stack.world.fail_renewal(stack.clock.now)
    stack.world.store.close()


def plan_failures(random: Random, start: datetime, days: int) -> list[list[datetime]]:
    """The times at which renewals fail, one list per day; more as the creator grows."""
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
