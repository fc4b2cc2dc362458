"""Keyset pagination of payments: every page costs only its own rows, however far it is.

The dashboard's list and `GET /payments/list` both use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, assert_never

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from db.models import Payment

PAGE = 50
LARGEST_ID = 2**63 - 1
# More than any amount, and as many decimals as numeric allows. The database would refuse a cursor
# beyond these, which somebody must have made by hand.
LARGEST_VALUE, MOST_DECIMALS = Decimal(10) ** 18, 16_383
# Payments without a value in dollars come last.
VALUE_USD = func.coalesce(Payment.amount_usd, 0)


class Order(StrEnum):
    """The value is used in the page's address."""

    NEWEST = "newest"
    LARGEST = "largest"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The row after which a page starts: its value in the page's order, and its id."""

    value: datetime | Decimal
    id: int

    def __str__(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return f"{value}~{self.id}"


@dataclass(frozen=True, slots=True)
class Page:
    """`before`, `after`: cursors of the neighbouring pages. None: there is none."""

    payments: Sequence[Payment]
    before: Cursor | None
    after: Cursor | None


def read_cursor(text: str, order: Order) -> Cursor | None:
    """None: it is not a cursor of this order, so the first page is shown."""
    value, _, number = text.rpartition("~")
    return parse_cursor(value, number, order)


def parse_cursor(value: str, number: str, order: Order) -> Cursor | None:
    try:
        cursor = Cursor(parse_value(value, order), int(number))
    except ValueError:
        return None
    return cursor if 0 <= cursor.id <= LARGEST_ID else None


def parse_value(text: str, order: Order) -> datetime | Decimal:
    """Raises ValueError."""
    return parse_moment(text) if order is Order.NEWEST else parse_amount(text)


def parse_moment(text: str) -> datetime:
    """In UTC: the database takes no zone that is most of a day away. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment needs its zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is before or after all time") from None


def parse_amount(text: str) -> Decimal:
    """One that the database can compare with. Raises ValueError."""
    try:
        amount = Decimal(text)
        exponent = amount.as_tuple().exponent
        is_sane = (
            isinstance(exponent, int)
            and exponent >= -MOST_DECIMALS
            and -LARGEST_VALUE <= amount <= LARGEST_VALUE
        )
    except ArithmeticError:
        is_sane = False
    if not is_sane:
        raise ValueError("no amount of money")
    return amount


def read_page(
    session: Session,
    ids: Select[tuple[int]],
    order: Order = Order.NEWEST,
    *,
    after: Cursor | None = None,
    before: Cursor | None = None,
    limit: int = PAGE,
) -> Page:
    """One page of the payments with these ids: after one cursor, or just before the other."""
    back = before is not None and after is None
    cursor = before if back else after
    found = find_rows(session, ids, order, cursor, back=back, limit=limit + 1)
    more, rows = len(found) > limit, found[:limit]
    if back:
        rows.reverse()
    earlier = more if back else cursor is not None
    later = back or more
    return Page(
        rows,
        before=make_cursor(rows[0], order) if rows and earlier else None,
        after=make_cursor(rows[-1], order) if rows and later else None,
    )


def find_rows(
    session: Session,
    ids: Select[tuple[int]],
    order: Order,
    cursor: Cursor | None,
    *,
    back: bool,
    limit: int,
) -> list[Payment]:
    key = find_key(order)
    if cursor is not None:
        row = tuple_(cursor.value, cursor.id)
        ids = ids.where(key > row if back else key < row)
    directed = [column.asc() if back else column.desc() for column in key.clauses]
    # The index alone finds the ids; only the rows of the page are read from the table.
    shown = Payment.id.in_(ids.order_by(*directed).limit(limit))
    return list(session.scalars(select(Payment).where(shown).order_by(*directed)))


def find_key(order: Order) -> Any:
    match order:
        case Order.NEWEST:
            return tuple_(Payment.failed_at, Payment.id)
        case Order.LARGEST:
            return tuple_(VALUE_USD, Payment.id)
        case _:
            assert_never(order)


def make_cursor(payment: Payment, order: Order) -> Cursor:
    by_time = order is Order.NEWEST
    return Cursor(payment.failed_at if by_time else payment.amount_usd or Decimal(0), payment.id)
