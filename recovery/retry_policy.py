"""When to charge a payment again, or why not. Pure: `now` is passed in.

A policy is a function from a context to a time. `decide` checks what no policy may do.
docs/creators/retry-policy.md explains the plans to a creator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from recovery.charging_hours import BEFORE_WHOP, avoid_whop, wait_for_day, wait_for_payday
from recovery.declines import MEMBER_CAN_FIX, NEVER_CHARGED_AGAIN, DeclineClass
from recovery.standing import Hold


class NoRetryReason(StrEnum):
    """Why no retry is scheduled. The value goes on in a sentence that a creator reads."""

    NOTHING_OWED = "nothing is owed"
    RETRIES_USED = "all retries are used"
    WINDOW_CLOSED = "too little time is left before the deadline"
    NOT_RETRYABLE = "Whop does not allow another retry"
    FORBIDDEN = "it must not be charged again"
    NEEDS_MEMBER = "another retry would not help, only the member can fix it"
    CARD_LIMIT = "the card networks allow no more charges on this card for now"
    HELD_OUT = "this member is in the control group"
    PAUSED = "the membership is paused on Whop"
    INQUIRY = "the member's bank asks about a payment"


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`interval`: least time between two charges of one payment."""

    policy: str = "smart"
    interval: timedelta = timedelta(minutes=60)
    max_retries: int = 3


@dataclass(frozen=True, slots=True)
class RetryContext:
    """Everything a policy may look at.

    `decline_class` and `decline_code` are a ban's, where one holds for the card on file.
    `last_charge_at`: Whop's last attempt or ours, whichever was later. `charges`: those of Whop and
    us on this card in the last 30 days, for any payment. `spread`: from 0 to 1 and fixed for a
    payment, so that payments are not all due at once.
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
    time_zone: str = "UTC"
    spread: float = 0.0
    held_out: bool = False
    hold: Hold | None = None
    owed: bool = True


@dataclass(frozen=True, slots=True)
class Retry:
    at: datetime


@dataclass(frozen=True, slots=True)
class NoRetry:
    why: NoRetryReason


Decision = Retry | NoRetry

# Attempts on one card in 30 days. Visa: 15 (newer texts say 20); Mastercard: 35, and 10 in a day
# (recovery-rules.md 3.1 and 3.2).
CARD_LIMITS = {"visa": 15, "mastercard": 35}
STRICTEST_LIMIT = min(CARD_LIMITS.values())
MOST_IN_A_DAY = 10


def find_no_retry_reason(context: RetryContext, rules: RetryRules) -> NoRetryReason | None:
    """Why a charge is forbidden, whatever the policy and whoever asks. None: it is allowed."""
    if not context.owed:
        return NoRetryReason.NOTHING_OWED
    if context.held_out:
        return NoRetryReason.HELD_OUT
    if context.hold is not None:  # invariant 11: a payment on hold is not charged
        return NoRetryReason[context.hold.name]
    if context.declined_retries >= rules.max_retries:
        return NoRetryReason.RETRIES_USED
    # invariant 3: forbidden declines are not charged
    if context.decline_class in NEVER_CHARGED_AGAIN:
        fixable = context.decline_class in MEMBER_CAN_FIX
        return NoRetryReason.NEEDS_MEMBER if fixable else NoRetryReason.FORBIDDEN
    if not context.retryable:
        return NoRetryReason.NOT_RETRYABLE
    if is_over_card_limit(context.card_brand, context.charges):
        return NoRetryReason.CARD_LIMIT
    return None


def is_over_card_limit(card_brand: str | None, charges: int) -> bool:
    """Whether the card network allows no more attempts after this many in 30 days."""
    return charges >= CARD_LIMITS.get(card_brand or "", STRICTEST_LIMIT)


def decide(context: RetryContext, rules: RetryRules, now: datetime) -> Decision:
    """The policy's time, if a charge is allowed then."""
    reason_not_to = find_no_retry_reason(context, rules)
    if reason_not_to is not None:
        return NoRetry(reason_not_to)
    # invariant 9: rules are told the time
    earliest = max(context.last_charge_at + rules.interval, now)
    at = POLICIES[rules.policy](context, earliest)
    if at is None:
        return NoRetry(NoRetryReason.NEEDS_MEMBER)
    if at >= context.window_ends_at:
        return NoRetry(NoRetryReason.WINDOW_CLOSED)
    return Retry(at)


def plan_hourly(context: RetryContext, earliest: datetime) -> datetime:
    """The simple alternative: as often as the interval allows."""
    return earliest


# Hours after the first failure, one for each retry; classes that are not listed wait for the
# member. From the table in recovery-rules.md 3.4: spread over the five days, technical errors soon,
# and the last try for funds just before the end (docs/developers/policy-comparison.md).
PLANS: dict[DeclineClass, tuple[float, ...]] = {
    DeclineClass.FUNDS: (30, 62, 106),
    DeclineClass.ISSUER: (26, 74),
    DeclineClass.TECHNICAL: (1, 6, 30),
    DeclineClass.UNKNOWN: (50,),
}
PLANS_BY_CODE: dict[str, tuple[float, ...]] = {
    "contact_issuer": (36, 84),
    "card_velocity_exceeded": (26, 74),
    "withdrawal_count_limit_exceeded": (26, 74),
    "restricted_card": (50,),
    "pin_required": (50,),
    "pin_required_as": (50,),
}
# Money on an account usually lasts a day, so Whop's own charge within a day finds what ours would.
# Whop may allow us only one retry, which is worth most once Whop has stopped trying.
LEAVE_TO_WHOP = {DeclineClass.FUNDS: timedelta(hours=24)}
# Least wait after one of our retries was declined, except for technical errors.
PAUSE = timedelta(hours=12)
# Kept free before the end of the window: a charge needs time to settle.
MARGIN = timedelta(hours=2)


def plan_smart(context: RetryContext, earliest: datetime) -> datetime | None:
    """By decline class, at hours when banks approve more often. None: retrying does not help."""
    plan = PLANS_BY_CODE.get(context.decline_code or "", PLANS.get(context.decline_class, ()))
    if context.declined_retries >= len(plan):
        return None
    planned = context.failed_at + timedelta(hours=plan[context.declined_retries])
    if context.declined_retries and context.decline_class is not DeclineClass.TECHNICAL:
        earliest = max(earliest, context.last_charge_at + PAUSE)
    at = max(planned, earliest)
    before = LEAVE_TO_WHOP.get(context.decline_class, BEFORE_WHOP)
    zone = ZoneInfo(context.time_zone)
    if context.decline_class is DeclineClass.FUNDS:
        at = wait_for_payday(at, zone)
    # Waiting for the day may end near Whop's attempt, and vice versa.
    for _ in range(2):
        clear = avoid_whop(at, context.whop_next_attempt_at, before)
        if context.decline_class is not DeclineClass.TECHNICAL:
            clear = wait_for_day(clear, zone, context.spread)
        if clear == at:
            break
        at = clear
    return fit_window(at, planned, earliest, context)


def fit_window(
    at: datetime, planned: datetime, earliest: datetime, context: RetryContext
) -> datetime:
    """Waiting for a better hour must not miss the window: rather a little early than never."""
    deadline = context.window_ends_at - MARGIN
    if at <= deadline:
        return at
    in_time = max(planned, earliest) <= deadline
    clear = avoid_whop(deadline, context.whop_next_attempt_at) == deadline
    return deadline if in_time and clear else context.window_ends_at


def wait_for_whop(
    rules: RetryRules, now: datetime, whop_attempt_at: datetime | None
) -> datetime | None:
    """When to decide again, if Whop has just announced an attempt near now. None: charge now.

    Only the `smart` policy waits for Whop.
    """
    clear = avoid_whop(now, whop_attempt_at)
    return clear if rules.policy == "smart" and clear > now else None


POLICIES: dict[str, Callable[[RetryContext, datetime], datetime | None]] = {
    "smart": plan_smart,
    "hourly": plan_hourly,
}
