"""Local days and months, by a company's clocks. Pure."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def start_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def begin_months(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the month before and this one began, in local time."""
    this = now.astimezone(zone).date().replace(day=1)
    last = (this - timedelta(days=1)).replace(day=1)
    return start_of(last, zone), start_of(this, zone)


def begin_days(now: datetime, zone: ZoneInfo, days: int) -> datetime:
    """When the last so many local days began, today's included."""
    return start_of(now.astimezone(zone).date() - timedelta(days=days - 1), zone)


def go_on(begin: datetime, so_far: timedelta, zone: ZoneInfo) -> datetime:
    """The moment when local clocks show so much more than at `begin`."""
    return (begin.replace(tzinfo=None) + so_far).replace(tzinfo=zone)


def measure_clock(begin: datetime, now: datetime, zone: ZoneInfo) -> timedelta:
    """By how much local clocks show more now than at `begin`."""
    return now.astimezone(zone).replace(tzinfo=None) - begin.replace(tzinfo=None)
