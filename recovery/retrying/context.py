"""What a policy may look at, and what it answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from recovery.declines import DeclineClass
from recovery.retrying.whop_habits import UNKNOWN_HABITS, WhopHabits
from recovery.standing import Hold


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`interval`: least time between two charges of one payment."""

    policy: str = "smart"
    interval: timedelta = timedelta(minutes=60)
    max_retries: int = 3


@dataclass(slots=True)
class RetryContext:
    """Everything a policy may look at. Not frozen, as reports.PaymentDetails.

    `decline_class` and `decline_code` are a ban's, where one holds for the card on file.
    `last_charge_at`: Whop's last attempt or ours, whichever was later. `charges`: those of Whop and
    us on this card in the last 30 days, for any payment. `whop_habits`: how Whop has been seen to
    treat payments like this one. `time_zone`: the member's, else the company's. `spread`: from 0
    to 1 and fixed for a payment, so that payments are not all due at once. `explores`: the creator
    allows other hours that are as good to be tried now and then.
    """

    decline_class: DeclineClass
    declined_retries: int
    retryable: bool
    failed_at: datetime
    last_charge_at: datetime
    window_ends_at: datetime
    decline_code: str | None = None
    card_brand: str | None = None
    charges: int = 1
    whop_next_attempt_at: datetime | None = None
    whop_habits: WhopHabits = UNKNOWN_HABITS
    time_zone: str = "UTC"
    spread: float = 0.0
    explores: bool = False
    held_out: bool = False
    hold: Hold | None = None
    owed: bool = True

    @property
    def is_single(self) -> bool:
        """Whether this may be the only retry that Whop allows. In doubt it is."""
        return may_be_single(self.declined_retries, self.whop_habits)


def may_be_single(declined_retries: int, habits: WhopHabits) -> bool:
    return declined_retries == 0 and (habits.retries or 1) <= 1


class Why(StrEnum):
    """What moved a charge to its moment."""

    # As soon as the interval allows.
    INTERVAL = "interval"
    # So many hours after the failure, by what the bank said.
    PLAN = "plan"
    PAYDAY = "payday"
    # Half a day after the last charge.
    PAUSE = "pause"
    # Whop tries by itself, and goes first.
    WHOP = "whop"
    DAY = "day"
    # Waiting longer would miss the end.
    LAST_CHANCE = "last_chance"
    # Drawn among hours that are as good.
    EXPLORED = "explored"


@dataclass(slots=True)
class Retry:
    """When to charge; `why`: what moved it there, in order. `possible`: the moments that it was
    chosen among, itself included, each with the probability that it is chosen; empty where there
    was no choice. Not frozen, as RetryContext."""

    at: datetime
    why: tuple[Why, ...] = field(default=(), compare=False)
    possible: tuple[tuple[datetime, float], ...] = field(default=(), compare=False)
