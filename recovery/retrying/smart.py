"""The `smart` policy: by what the bank said, at hours when banks approve more often. Pure.

docs/creators/retry-policy.md explains it to a creator. Whoever changes what it answers raises
VERSION and keeps the one before it (CONTRIBUTING.md, "A new version of the policy").
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zlib import crc32
from zoneinfo import ZoneInfo

from recovery.declines import DeclineClass
from recovery.retrying.context import Retry, RetryContext, Why
from recovery.retrying.exploration import explore
from recovery.retrying.good_hours import (
    AFTER_WHOP,
    BEFORE_WHOP,
    LONG_DAY_ENDS,
    LONG_DAY_STARTS,
    Day,
    Intervals,
    find_last,
    find_next,
    keep_clear,
    leave_forwards,
    list_hours_of_day,
    wait_for_payday,
)

# 1: until November 2026, sandbox/simulate/former_policies.py.
VERSION = 2
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
# Money on an account usually lasts a day, so Whop's own charge within a day finds what ours would,
# and the only retry is worth most once Whop has stopped trying. Only where both were seen.
LEAVE_TO_WHOP = timedelta(hours=24)
# Least wait after a declined charge: the bank would be asked the same question.
PAUSE, NO_PAUSE = timedelta(hours=12), timedelta(0)
# Kept free before the end of the window: a charge needs time to settle.
MARGIN = timedelta(hours=2)
# Where another hour of the same day is as good, as far as anybody knows.
EXPLORED = {DeclineClass.FUNDS, DeclineClass.ISSUER, DeclineClass.UNKNOWN}


def plan_smart(context: RetryContext, earliest: datetime) -> Retry | None:
    """None: retrying does not help."""
    plan = PLANS_BY_CODE.get(context.decline_code or "", PLANS.get(context.decline_class, ()))
    if context.declined_retries >= len(plan):
        return None
    at = context.failed_at + timedelta(hours=plan[context.declined_retries])
    single = context.is_single
    earliest = max(earliest, context.last_charge_at + find_pause(context, single))
    blocked, day, why = list_blocked(context, single), find_day(context, single), [Why.PLAN]
    if at < earliest:
        at = earliest
        why.append(Why.PAUSE)
    if context.decline_class is DeclineClass.FUNDS:
        payday = wait_for_payday(at, find_home(context.time_zone))
        if payday != at:
            at = payday
            why.append(Why.PAYDAY)
    clear = leave_forwards(at, blocked)
    if clear != at:
        why.append(Why.WHOP)
    at = find_next(clear, blocked, day, context.spread)
    if at != clear:
        why.append(Why.DAY)
    if at > context.window_ends_at - MARGIN:
        return take_last_chance(context, earliest, blocked, day)
    if not context.explores or context.decline_class not in EXPLORED:
        return Retry(at, tuple(why))
    since, deadline = at if Why.PAYDAY in why else earliest, context.window_ends_at - MARGIN
    others = list_hours_of_day(at, since, deadline, blocked, day)
    return explore(at, tuple(why), others, draw(context))


def draw(context: RetryContext) -> float:
    """From 0 to 1, the same for each time that this try is planned."""
    return crc32(f"{context.spread}/{context.declined_retries}/{VERSION}".encode()) / 2**32


def take_last_chance(
    context: RetryContext, earliest: datetime, blocked: Intervals, day: Day
) -> Retry:
    """Rather earlier than never; after the window's end: never."""
    deadline = context.window_ends_at - MARGIN
    for hours in (day, Day(find_home(context.time_zone), LONG_DAY_STARTS, LONG_DAY_ENDS)):
        at = find_last(deadline, blocked, hours)
        if at >= earliest:
            return Retry(at, (Why.LAST_CHANCE,))
    return Retry(context.window_ends_at, (Why.LAST_CHANCE,))


def find_pause(context: RetryContext, single: bool) -> timedelta:
    """After any declined charge before the only retry, and after ours before the next; technical
    errors are over sooner."""
    if single:
        return PAUSE
    technical = context.decline_class is DeclineClass.TECHNICAL
    return NO_PAUSE if technical or not context.declined_retries else PAUSE


def find_day(context: RetryContext, single: bool) -> Day:
    """A technical error does not wait for the day, unless the only retry would be spent on it."""
    if context.decline_class is DeclineClass.TECHNICAL and not single:
        return DAY_AND_NIGHT
    return find_day_in(context.time_zone)


# Kept, since the receiver asks for them with every payment.
find_home = cache(ZoneInfo)
DAY_AND_NIGHT = Day(None)


@cache
def find_day_in(time_zone: str) -> Day:
    return Day(find_home(time_zone))


def list_blocked(context: RetryContext, single: bool) -> Intervals:
    """Around Whop's next tries, as far as they are announced or foreseen."""
    before = LEAVE_TO_WHOP if leaves_to_whop(context) else BEFORE_WHOP
    return keep_clear(foresee_attempts(context), before, PAUSE if single else AFTER_WHOP)


def leaves_to_whop(context: RetryContext) -> bool:
    gap, retries = context.whop_habits.gap, context.whop_habits.retries
    usual = retries == 1 and gap is not None and gap <= LEAVE_TO_WHOP
    return usual and context.decline_class is DeclineClass.FUNDS


def foresee_attempts(context: RetryContext) -> list[datetime]:
    """The one that Whop has announced, and those that follow at its usual distance."""
    attempt, gap = context.whop_next_attempt_at, context.whop_habits.gap
    attempts: list[datetime] = []
    while attempt is not None and attempt < context.window_ends_at:
        attempts.append(attempt)
        attempt = attempt + gap if gap else None
    return attempts
