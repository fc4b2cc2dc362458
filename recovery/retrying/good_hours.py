"""Good hours to charge: by day, on a payday, and clear of Whop's own tries. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# When banks approve more often (recovery-rules.md 3.4).
DAY_STARTS, DAY_ENDS = time(8), time(21)
# For a last chance, rather than none.
LONG_DAY_STARTS, LONG_DAY_ENDS = time(7), time(22)
PAYDAY_STARTS = time(9)
SPREAD = timedelta(hours=2)
WAIT_FOR_PAYDAY = timedelta(hours=24)
# A charge just before Whop's own would only use up an attempt.
BEFORE_WHOP, AFTER_WHOP = timedelta(hours=6), timedelta(hours=1)
HOUR = timedelta(hours=1)

# From and to: open intervals, in order.
Intervals = Sequence[tuple[datetime, datetime]]


@dataclass(frozen=True, slots=True)
class Day:
    """The hours of a day in which it is charged. `zone` None: day and night."""

    zone: ZoneInfo | None
    starts: time = DAY_STARTS
    ends: time = DAY_ENDS

    def includes(self, at: datetime) -> bool:
        return self.zone is None or self.starts <= at.astimezone(self.zone).time() < self.ends


# --- the next good moment, and the last -----------------------------------------------------------


def find_next(at: datetime, blocked: Intervals, day: Day, spread: float) -> datetime:
    """The first moment from `at` on that is by day and outside of the intervals."""
    while (clear := wait_for_day(leave_forwards(at, blocked), day, spread)) != at:
        at = clear
    return at


def find_last(at: datetime, blocked: Intervals, day: Day) -> datetime:
    """The last moment up to `at` that is by day and outside of the intervals."""
    while (clear := go_back_to_day(leave_backwards(at, blocked), day)) != at:
        at = clear
    return at


def leave_forwards(at: datetime, blocked: Intervals) -> datetime:
    for begin, end in blocked:
        if begin < at < end:
            at = end
    return at


def leave_backwards(at: datetime, blocked: Intervals) -> datetime:
    for begin, end in reversed(blocked):
        if begin < at < end:
            at = begin
    return at


def keep_clear(
    attempts: Iterable[datetime], before: timedelta, after: timedelta
) -> list[tuple[datetime, datetime]]:
    """The intervals around Whop's tries, which are given in order."""
    return [(attempt - before, attempt + after) for attempt in attempts]


def avoid_whop(at: datetime, whop_attempt_at: datetime | None) -> datetime:
    """`at`, or an hour after Whop's own try if that is near."""
    attempts = [whop_attempt_at] if whop_attempt_at is not None else []
    return leave_forwards(at, keep_clear(attempts, BEFORE_WHOP, AFTER_WHOP))


# --- by day ---------------------------------------------------------------------------------------


def wait_for_day(at: datetime, day: Day, spread: float) -> datetime:
    """`at`, or the next morning if it is at night, when declines are most frequent.

    `spread` (0 to 1) distributes the morning's charges over the first two hours.
    """
    if day.zone is None:
        return at
    local = at.astimezone(day.zone)
    if day.starts <= local.time() < day.ends:
        return at
    date_ = local.date() + timedelta(days=local.time() >= day.ends)
    morning = datetime.combine(date_, day.starts, day.zone) + SPREAD * spread
    return morning.astimezone(at.tzinfo)


def go_back_to_day(at: datetime, day: Day) -> datetime:
    """`at`, or an hour before the end of the day before it."""
    if day.zone is None or day.includes(at):
        return at
    local = at.astimezone(day.zone)
    date_ = local.date() - timedelta(days=local.time() < day.starts)
    evening = datetime.combine(date_, day.ends, day.zone) - HOUR
    return evening.astimezone(at.tzinfo)


def list_hours_of_day(
    chosen: datetime, earliest: datetime, deadline: datetime, blocked: Intervals, day: Day
) -> list[datetime]:
    """The other full hours of the chosen moment's day at which a charge is allowed, too."""
    if day.zone is None:
        return []
    date_ = chosen.astimezone(day.zone).date()
    hours = (
        datetime.combine(date_, time(hour), day.zone).astimezone(chosen.tzinfo)
        for hour in range(day.starts.hour, day.ends.hour)
    )
    return [
        hour
        for hour in hours
        if earliest <= hour <= deadline
        and abs(hour - chosen) >= HOUR
        and leave_forwards(hour, blocked) == hour
    ]


# --- paydays --------------------------------------------------------------------------------------


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
