"""Better and worse hours to charge: out of the night, on a payday, clear of Whop's own attempt."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY_STARTS, DAY_ENDS = time(8), time(21)
PAYDAY_STARTS = time(9)
SPREAD = timedelta(hours=2)
WAIT_FOR_PAYDAY = timedelta(hours=24)
BEFORE_WHOP, AFTER_WHOP = timedelta(hours=6), timedelta(hours=1)


def wait_for_payday(at: datetime, zone: ZoneInfo) -> datetime:
    """On to the morning of a payday, where one begins within a day."""
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
    """Fridays, the 1st, the 15th and the last of a month: when wages usually arrive."""
    last = (day + timedelta(days=1)).day == 1
    return last or day.day in {1, 15} or day.weekday() == calendar.FRIDAY


def wait_for_day(at: datetime, zone: ZoneInfo, spread: float) -> datetime:
    """Out of the night, when declines are most frequent, and not all in the first minute."""
    local = at.astimezone(zone)
    if DAY_STARTS <= local.time() < DAY_ENDS:
        return at
    day = local.date() + timedelta(days=local.time() >= DAY_ENDS)
    morning = datetime.combine(day, DAY_STARTS, zone) + SPREAD * spread
    return morning.astimezone(at.tzinfo)


def avoid_whop(
    at: datetime, whop_attempt_at: datetime | None, before: timedelta = BEFORE_WHOP
) -> datetime:
    """Whop is about to charge by itself: a charge just before would only spend an attempt."""
    if (
        whop_attempt_at is not None
        and whop_attempt_at - before < at <= whop_attempt_at + AFTER_WHOP
    ):
        return whop_attempt_at + AFTER_WHOP
    return at
