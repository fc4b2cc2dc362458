"""When to charge a payment again: the policies, and good hours to charge. Pure.

A policy is a function from a context to a time. recovery/transitions.py asks it, and checks before
what no policy may do.
docs/creators/retry-policy.md explains the plans to a creator.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from recovery.declines import DeclineClass
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


# Attempts on one card in 30 days. Visa: 15 (newer texts say 20); Mastercard: 35, and 10 in a day
# (recovery-rules.md 3.1 and 3.2).
CARD_LIMITS = {"visa": 15, "mastercard": 35}
STRICTEST_LIMIT = min(CARD_LIMITS.values())
MOST_IN_A_DAY = 10


def is_over_card_limit(card_brand: str | None, charges: int) -> bool:
    """Whether the card network allows no more attempts after this many in 30 days."""
    return charges >= CARD_LIMITS.get(card_brand or "", STRICTEST_LIMIT)


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


POLICIES: dict[str, Callable[[RetryContext, datetime], datetime | None]] = {
    "smart": plan_smart,
    "hourly": plan_hourly,
}

# --- good hours: by day, on a payday, and not close to Whop's own attempt ----------------------

DAY_STARTS, DAY_ENDS = time(8), time(21)
PAYDAY_STARTS = time(9)
SPREAD = timedelta(hours=2)
WAIT_FOR_PAYDAY = timedelta(hours=24)
BEFORE_WHOP, AFTER_WHOP = timedelta(hours=6), timedelta(hours=1)


def wait_for_payday(at: datetime, zone: ZoneInfo) -> datetime:
    """`at`, or the next payday morning if one comes within 24 hours."""
    local = at.astimezone(zone)
    for days in (0, 1):
        day = local.date() + timedelta(days=days)
        if not is_payday(day):
            continue
        morning = datetime.combine(day, PAYDAY_STARTS, zone)
        if at <= morning <= at + WAIT_FOR_PAYDAY:
            return morning.astimezone(at.tzinfo)
    return at


def is_payday(day: date) -> bool:
    """Fridays, the 1st, the 15th and the last day of a month: when wages usually arrive."""
    last = (day + timedelta(days=1)).day == 1
    return last or day.day in {1, 15} or day.weekday() == calendar.FRIDAY


def wait_for_day(at: datetime, zone: ZoneInfo, spread: float) -> datetime:
    """`at`, or the next morning if it is at night, when declines are most frequent.

    `spread` (0 to 1) distributes the morning's charges over the first two hours.
    """
    local = at.astimezone(zone)
    if DAY_STARTS <= local.time() < DAY_ENDS:
        return at
    day = local.date() + timedelta(days=local.time() >= DAY_ENDS)
    morning = datetime.combine(day, DAY_STARTS, zone) + SPREAD * spread
    return morning.astimezone(at.tzinfo)


def avoid_whop(
    at: datetime, whop_attempt_at: datetime | None, before: timedelta = BEFORE_WHOP
) -> datetime:
    """`at`, or an hour after Whop's own attempt if that is near: a charge just before it would only
    use up an attempt."""
    if (
        whop_attempt_at is not None
        and whop_attempt_at - before < at <= whop_attempt_at + AFTER_WHOP
    ):
        return whop_attempt_at + AFTER_WHOP
    return at
