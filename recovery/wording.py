"""How amounts, counts, shares, spans, periods and cards are written, wherever they are read; and
what others typed, made fit for a line."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
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


# --- amounts of money ---------------------------------------------------------------------------

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "inr": "₹"}
# ISO 4217; every other currency has two.
WHOLE = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf"
THREE = "bhd iqd jod kwd lyd omr tnd"
DECIMALS = dict.fromkeys(WHOLE.split(), 0) | dict.fromkeys(THREE.split(), 3)


def format_money(amount: Decimal, currency: str) -> str:
    """`$1,234.50`, `1,234.50 CAD`, `1,235 JPY`: never a symbol that several currencies share."""
    code = currency.lower()
    rounded = amount.quantize(Decimal(1).scaleb(-DECIMALS.get(code, 2)), ROUND_HALF_UP)
    if symbol := SYMBOLS.get(code):
        return f"{symbol}{rounded:,f}"
    return f"{rounded:,f} {code.upper()}".strip()


def format_usd(amount: Decimal | int) -> str:
    """Of sums, which are in US dollars."""
    return format_money(Decimal(amount), "usd")


# --- what others typed --------------------------------------------------------------------------

# Characters of a person's, a company's or a product's name.
LONGEST_NAME = 80
# What Postgres cannot store: NUL and halves of surrogate pairs.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Invisible, but emoji and several scripts need these two.
JOINERS = "\u200c\u200d"
HIDDEN = frozenset({"Cc", "Cf", "Cs"})
BREAKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")


def is_hidden(character: str) -> bool:
    """Whether it is invisible or changes how its neighbours look: control characters, direction
    marks, zero-width spaces, lone surrogates."""
    return unicodedata.category(character) in HIDDEN and character not in JOINERS


def find_hidden(text: str, allowed: str = "") -> str | None:
    """The first hidden character, such as U+202E. None: there is none."""
    for character in text:
        if (is_hidden(character) or character in BREAKS) and character not in allowed:
            return f"U+{ord(character):04X}"
    return None


def make_plain(text: str, longest: int) -> str:
    """One line without hidden characters, at most `longest` long; empty if nothing is left to
    see."""
    spaced = "".join(" " if c in BREAKS else c for c in text)
    line = " ".join("".join(c for c in spaced if not is_hidden(c)).split())
    if not line.strip(JOINERS + " "):
        return ""
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
