"""How a count, a share, a span, a period and a card are written, wherever they are read."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

# With fewer, one payment changes a percentage by more than five points, so only the numbers are
# shown.
FEW = 20
UNKNOWN_PRODUCT = "Product not known yet"
BRANDS = {"amex": "American Express", "jcb": "JCB", "unionpay": "UnionPay"}


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 payment`, `2,000 payments`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def format_share(part: int, whole: int) -> str:
    """`62% (61 of 98)`, or `3 of 7` where they are few."""
    numbers = f"{part:,} of {whole:,}"
    if not whole:
        return "none yet"
    return numbers if whole < FEW else f"{format_percent(part, whole)} ({numbers})"


def format_percent(part: int, whole: int) -> str:
    """Whole percents: where the numbers stand beside it. 0% and 100% mean none and all."""
    # Half up, as everybody rounds.
    percent = (200 * part + whole) // (2 * whole)
    if 0 < part < whole and percent in (0, 100):
        return "<1%" if percent == 0 else ">99%"
    return f"{percent}%"


def format_span(span: timedelta) -> str:
    """One unit, rounded down: `40 s`, `12 min`, `3 h`, `2 days`."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86400} days"


def name_brand(brand: str) -> str:
    """Of a card, as Whop writes it."""
    return BRANDS.get(brand.lower(), brand.title())


class Period(StrEnum):
    """The value stands in a page's address and on buttons.

    Whole calendar days in the company's time zone, today included, wherever a period is chosen: so
    that a figure, the chart's bars, the list it leads to and its file are about the same payments.
    """

    WEEK = "7 days"
    MONTH = "30 days"
    QUARTER = "90 days"
    HALF_YEAR = "6 months"
    YEAR = "12 months"
    THIS_MONTH = "this month"
    ALL = "all time"

    @property
    def label(self) -> str:
        return f"Last {self.value}" if self in DAYS else self.value.capitalize()


DAYS = {
    Period.WEEK: 7,
    Period.MONTH: 30,
    Period.QUARTER: 90,
    Period.HALF_YEAR: 26 * 7,
    Period.YEAR: 365,
}


def find_start(period: Period, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The midnight that its first day begins with; None: from the beginning."""
    today = now.astimezone(zone).date()
    match period:
        case Period.ALL:
            return None
        case Period.THIS_MONTH:
            first = today.replace(day=1)
        case _:
            first = today - timedelta(days=DAYS[period] - 1)
    return datetime.combine(first, time(), zone)
