"""Reads single values from Whop's JSON. The `require_…` functions raise PayloadError, others return
None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Json = Mapping[str, Any]

LARGEST_AMOUNT = Decimal(10) ** 12
SMALLEST_AMOUNT = Decimal("1e-18")
IDENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}", re.ASCII)
# ISO 3166-1, alpha-2.
COUNTRY = re.compile("[A-Za-z]{2}")
# Characters kept of any text.
LONGEST_TEXT = 500


class PayloadError(ValueError):
    """Well-formed JSON without a required value. `field` names where it is missing or wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


def part(data: Json, name: str) -> Json:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def text(data: Json, name: str) -> str | None:
    value = data.get(name)
    return value[:LONGEST_TEXT] if isinstance(value, str) and value else None


def require_text(data: Json, name: str, where: str = "") -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT:
        raise PayloadError(where + name, f"must be a text of 1 to {LONGEST_TEXT} characters")
    return value


def ident(data: Json, name: str) -> str | None:
    """An id that is safe in a path, a header and a log line. None: any other value."""
    value = data.get(name)
    return value if isinstance(value, str) and IDENT.fullmatch(value) else None


def require_ident(data: Json, name: str, where: str = "") -> str:
    value = ident(data, name)
    if value is None:
        raise PayloadError(where + name, "must be an id: 1 to 100 letters, digits, or . : _ -")
    return value


def flag(data: Json, name: str) -> bool | None:
    value = data.get(name)
    return value if isinstance(value, bool) else None


def count(data: Json, name: str) -> int | None:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    return int(value) if 0 <= value <= 1_000_000 else None


def expiry(card: Json, prefix: str = "") -> tuple[int | None, int | None]:
    """A card's month and year; Whop writes years with four digits or with two."""
    month, year = count(card, f"{prefix}exp_month"), count(card, f"{prefix}exp_year")
    if year is not None and year < 100:
        year += 2000
    return month if month and month <= 12 else None, year


def link(data: Json, name: str) -> str | None:
    """Only https: a member may be sent there."""
    value = text(data, name)
    return value if value is not None and value.startswith("https://") else None


def require_amount(data: Json, name: str, where: str = "") -> Decimal:
    amount = read_amount(data.get(name))
    if amount is None:
        raise PayloadError(where + name, "must be an amount of money from 0 to 10^12")
    return amount


def read_amount(value: Any) -> Decimal | None:
    """A Money object, a decimal string, or a number, in major units."""
    if isinstance(value, dict):
        value = value.get("amount")
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount <= LARGEST_AMOUNT:
        return None
    return amount if amount == 0 or amount >= SMALLEST_AMOUNT else None


def money_currency(value: Any) -> str | None:
    return text(value, "currency") if isinstance(value, dict) else None


def country(address: Json) -> str | None:
    """Two capital letters."""
    told = text(address, "country") or ""
    return told.upper() if COUNTRY.fullmatch(told) else None


def time(data: Json, name: str) -> datetime | None:
    """ISO 8601 or unix seconds; without a zone it is UTC. None: it is absent or unreadable."""
    value = data.get(name)
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
