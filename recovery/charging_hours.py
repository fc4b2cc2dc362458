"""Good hours to charge: by day, on a payday, and not close to Whop's own attempt."""

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
