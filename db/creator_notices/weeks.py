"""A creator's weeks, from one local Monday to the next, and when each digest is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SENT_AT = time(8)
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Week:
    """Not always 168 hours, since clocks change."""

    monday: date
    zone: ZoneInfo

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def start(self) -> datetime:
        return self.at(self.monday)

    @property
    def end(self) -> datetime:
        return self.at(self.monday + WEEK)

    @property
    def digest_due_at(self) -> datetime:
        return self.at(self.monday + WEEK, SENT_AT)

    @property
    def trigger_key(self) -> str:
        """The ISO week, such as 2026-W47, the same in every time zone."""
        year, week, _ = self.monday.isocalendar()
        return f"{year}-W{week:02}"

    @property
    def ended_month(self) -> date | None:
        """The first day of the month that ended in this week. None: none did."""
        ended = (self.monday + WEEK).month != self.monday.month
        return self.monday.replace(day=1) if ended else None

    @property
    def before(self) -> Week:
        return Week(self.monday - WEEK, self.zone)

    def at(self, day: date, hour: time = time(0)) -> datetime:
        return datetime.combine(day, hour, self.zone).astimezone(UTC)


def find_digest_week(now: datetime, zone: ZoneInfo) -> Week:
    """The newest week whose digest is due."""
    today = now.astimezone(zone).date()
    week = Week(today - timedelta(days=today.weekday()) - WEEK, zone)
    return week if week.digest_due_at <= now else week.before


def read_week(trigger_key: str, zone: ZoneInfo) -> Week:
    year, week = trigger_key.split("-W")
    return Week(date.fromisocalendar(int(year), int(week), 1), zone)
