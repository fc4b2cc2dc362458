"""When to charge a payment again, or why not. Pure: `now` is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from db.declines import NEVER_CHARGED_AGAIN, DeclineClass


class WhyNot(StrEnum):
    """Why no retry is scheduled. The value is the sentence a creator reads."""

    RETRIES_USED = "all retries are used"
    WINDOW_CLOSED = "the membership's grace period is over"
    NOT_RETRYABLE = "Whop does not allow another retry of this payment"
    FORBIDDEN = "charging this card again is not allowed; only the member can fix it"


@dataclass(frozen=True, slots=True)
class Settings:
    """`interval`: the least time between two charges of one payment."""

    interval: timedelta = timedelta(minutes=60)
    max_retries: int = 3


@dataclass(frozen=True, slots=True)
class Situation:
    """All a policy may look at. `last_charge_at` counts Whop's attempts as well as ours."""

    decline_class: DeclineClass
    declined_retries: int
    retryable: bool
    last_charge_at: datetime
    window_ends_at: datetime


@dataclass(frozen=True, slots=True)
class Retry:
    at: datetime


@dataclass(frozen=True, slots=True)
class NoRetry:
    why: WhyNot


Decision = Retry | NoRetry


def decide_hourly(situation: Situation, settings: Settings, now: datetime) -> Decision:
    """Each unpaid payment that Whop lets us retry, once an interval, `max_retries` times."""
    if situation.declined_retries >= settings.max_retries:
        return NoRetry(WhyNot.RETRIES_USED)
    if situation.decline_class in NEVER_CHARGED_AGAIN:
        return NoRetry(WhyNot.FORBIDDEN)
    if not situation.retryable:
        return NoRetry(WhyNot.NOT_RETRYABLE)
    at = max(situation.last_charge_at + settings.interval, now)
    if at >= situation.window_ends_at:
        return NoRetry(WhyNot.WINDOW_CLOSED)
    return Retry(at)
