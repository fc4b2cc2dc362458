"""The policies, and what the card networks allow. Pure.

A policy is a function from a context, and the earliest time at which a charge is allowed, to a
retry. recovery/retrying/transitions.py asks it, and checks before what no policy may do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from recovery.retrying import smart
from recovery.retrying.context import Retry, RetryContext, Why

Policy = Callable[[RetryContext, datetime], Retry | None]

# Attempts on one card in 30 days. Visa: 15 (newer texts say 20); Mastercard: 35, and 10 in a day
# (recovery-rules.md 3.1 and 3.2).
CARD_LIMITS = {"visa": 15, "mastercard": 35}
STRICTEST_LIMIT = min(CARD_LIMITS.values())
MOST_IN_A_DAY = 10


def is_over_card_limit(card_brand: str | None, charges: int) -> bool:
    """Whether the card network allows no more attempts after this many in 30 days."""
    return charges >= CARD_LIMITS.get(card_brand or "", STRICTEST_LIMIT)


def plan_hourly(_: RetryContext, earliest: datetime) -> Retry:
    """The simple alternative: as often as the interval allows."""
    return Retry(earliest, (Why.INTERVAL,))


POLICIES: dict[str, Policy] = {"smart": smart.plan_smart, "hourly": plan_hourly}
VERSIONS = {"smart": smart.VERSION, "hourly": 1}
