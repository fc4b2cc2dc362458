"""Versions of `smart` that are no more, to compare with, and to make their decisions again.

Nothing here is changed: `tests/decisions/` holds decisions that each version made.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from recovery.declines import DeclineClass
from recovery.retrying.context import Retry, RetryContext, Why
from recovery.retrying.policy import Policy

# --- version 1, until November 2026 ------------------------------------------------------------

PLANS_1: dict[DeclineClass, tuple[float, ...]] = {
    DeclineClass.FUNDS: (30, 62, 106),
    DeclineClass.ISSUER: (26, 74),
    DeclineClass.TECHNICAL: (1, 6, 30),
    DeclineClass.UNKNOWN: (50,),
}
PLANS_BY_CODE_1: dict[str, tuple[float, ...]] = {
    "contact_issuer": (36, 84),
    "card_velocity_exceeded": (26, 74),
    "withdrawal_count_limit_exceeded": (26, 74),
    "restricted_card": (50,),
    "pin_required": (50,),
    "pin_required_as": (50,),
}
LEAVE_TO_WHOP_1 = {DeclineClass.FUNDS: timedelta(hours=24)}
PAUSE_1, MARGIN_1 = timedelta(hours=12), timedelta(hours=2)
DAY_STARTS_1, DAY_ENDS_1, PAYDAY_STARTS_1 = time(8), time(21), time(9)
SPREAD_1, WAIT_FOR_PAYDAY_1 = timedelta(hours=2), timedelta(hours=24)
BEFORE_WHOP_1, AFTER_WHOP_1 = timedelta(hours=6), timedelta(hours=1)


def plan_smart_1(context: RetryContext, earliest: datetime) -> Retry | None:
    """Left a lack of funds to Whop whatever was known of Whop, and knew the company's zone only."""
    default = PLANS_1.get(context.decline_class, ())
    plan = PLANS_BY_CODE_1.get(context.decline_code or "", default)
    if context.declined_retries >= len(plan):
        return None
    planned = context.failed_at + timedelta(hours=plan[context.declined_retries])
    if context.declined_retries and context.decline_class is not DeclineClass.TECHNICAL:
        earliest = max(earliest, context.last_charge_at + PAUSE_1)
    at = max(planned, earliest)
    before = LEAVE_TO_WHOP_1.get(context.decline_class, BEFORE_WHOP_1)
    zone = ZoneInfo(context.time_zone)
    if context.decline_class is DeclineClass.FUNDS:
        at = wait_for_payday_1(at, zone)
    for _ in range(2):
        clear = avoid_whop_1(at, context.whop_next_attempt_at, before)
        if context.decline_class is not DeclineClass.TECHNICAL:
            clear = wait_for_day_1(clear, zone, context.spread)
        if clear == at:
            break
        at = clear
    return Retry(fit_window_1(at, planned, earliest, context), (Why.PLAN,))


def fit_window_1(
    at: datetime, planned: datetime, earliest: datetime, context: RetryContext
) -> datetime:
    deadline = context.window_ends_at - MARGIN_1
    if at <= deadline:
        return at
    in_time = max(planned, earliest) <= deadline
    clear = avoid_whop_1(deadline, context.whop_next_attempt_at, BEFORE_WHOP_1) == deadline
    return deadline if in_time and clear else context.window_ends_at


def wait_for_payday_1(at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    for days in (0, 1):
        day = local.date() + timedelta(days=days)
        last = (day + timedelta(days=1)).day == 1
        if not (last or day.day in {1, 15} or day.weekday() == 4):
            continue
        morning = datetime.combine(day, PAYDAY_STARTS_1, zone)
        if at <= morning <= at + WAIT_FOR_PAYDAY_1:
            return morning.astimezone(at.tzinfo)
    return at


def wait_for_day_1(at: datetime, zone: ZoneInfo, spread: float) -> datetime:
    local = at.astimezone(zone)
    if DAY_STARTS_1 <= local.time() < DAY_ENDS_1:
        return at
    day = local.date() + timedelta(days=local.time() >= DAY_ENDS_1)
    morning = datetime.combine(day, DAY_STARTS_1, zone) + SPREAD_1 * spread
    return morning.astimezone(at.tzinfo)


def avoid_whop_1(at: datetime, attempt_at: datetime | None, before: timedelta) -> datetime:
    if attempt_at is not None and attempt_at - before < at <= attempt_at + AFTER_WHOP_1:
        return attempt_at + AFTER_WHOP_1
    return at


FORMER: dict[tuple[str, int], Policy] = {("smart", 1): plan_smart_1}
