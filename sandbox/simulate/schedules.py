"""Published retry schedules as policies, to compare ours with. Not for creators.

A schedule lists hours after the failed charge, one for each retry. All run through `decide`, so the
limits that bind every policy (docs/creators/retry-policy.md) bind them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from recovery.retrying.context import Retry, RetryContext, RetryRules, Why
from recovery.retrying.policy import POLICIES, Policy
from recovery.retrying.transitions import WINDOW
from sandbox.simulate.former_policies import FORMER

DAY = 24.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """`reading` is set if the source leaves the hours open: it says what we chose."""

    hours: tuple[float, ...]
    source: str
    reading: str = ""

    @property
    def in_window(self) -> tuple[float, ...]:
        return tuple(hours for hours in self.hours if timedelta(hours=hours) < WINDOW)


def every(hours: float, times: int) -> tuple[float, ...]:
    return tuple(hours * number for number in range(1, times + 1))


SCHEDULES = {
    "whop": Schedule((), "no retry of ours: MAX_RETRIES 0"),
    "woocommerce": Schedule(
        (12, 1 * DAY, 2 * DAY, 4 * DAY, 7 * DAY), "WooCommerce Subscriptions' default"
    ),
    "polar": Schedule((2 * DAY, 7 * DAY, 14 * DAY, 21 * DAY), "Polar, `server/polar/config.py`"),
    "yuno": Schedule((1 / 12, 1, 5, 1 * DAY, 2 * DAY, 4 * DAY), "Yuno's documentation of retries"),
    "killbill": Schedule((8 * DAY, 16 * DAY, 24 * DAY), "Kill Bill's default"),
    "adyen": Schedule(
        every(4 * DAY, 7),
        "Adyen's example of 7 retries in 28 days",
        "evenly spread; Adyen lets a model choose",
    ),
    "stripe": Schedule(
        every(42, 8),
        "Stripe's recommended 8 tries in 14 days",
        "evenly spread; Stripe lets a model choose",
    ),
    "recurly": Schedule(
        every(2 * DAY, 20),
        "Recurly's static rule for `try again`: every 2 days, 20 at most",
        "for every decline; Recurly has others for a few",
    ),
}


def follow(hours: tuple[float, ...]) -> Policy:
    def plan(context: RetryContext, earliest: datetime) -> Retry | None:
        if context.declined_retries >= len(hours):
            return None
        planned = context.failed_at + timedelta(hours=hours[context.declined_retries])
        return Retry(max(planned, earliest), (Why.PLAN,))

    return plan


FORMER_NAMES = {f"{name}_{version}": policy for (name, version), policy in FORMER.items()}


def enter_schedules() -> None:
    """Adds them, and former versions of our own, to the policies of this process."""
    POLICIES.update({name: follow(schedule.hours) for name, schedule in SCHEDULES.items()})
    POLICIES.update(FORMER_NAMES)


def rules_for(policy: str) -> RetryRules:
    """Our own policies with default settings; others with as many retries as they list."""
    if policy in SCHEDULES:
        return RetryRules(policy, max_retries=len(SCHEDULES[policy].hours))
    return RetryRules(policy)


COMPARED = ("smart", "hourly", *SCHEDULES)
POLICY_NAMES = (*COMPARED, *FORMER_NAMES)
