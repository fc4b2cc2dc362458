"""Finds and counts payments by filters.

Every condition has an index, so no query reads more rows than it shows or counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.models import Payment
from db.reporting.attention import NEEDS_CREATOR
from db.reporting.pagination import PAGE, VALUE_USD, Cursor, Order, Page, find_key, read_page
from recovery.declines import DeclineClass
from recovery.status import UNPAID, PaymentStatus, RecoveredBy

MOST_COUNTED = 1_000
MOST_EXPORTED = 50_000
MOST_PRODUCTS = 100
LOOKED_AT_FOR_PRODUCTS = 10_000


class StatusFilter(StrEnum):
    """The value is used in the page's address."""

    ALL = "all"
    UNPAID = "unpaid"
    NEEDS_YOU = "needs_you"
    PENDING_RETRY = "pending_retry"
    FAILED = "failed"
    RECOVERED = "recovered"
    PERMANENT_FAIL = "permanent_fail"


class Population(StrEnum):
    """The value is used in the page's address."""

    SINCE_SETUP = "since"
    BEFORE_SETUP = "before"


@dataclass(frozen=True, slots=True)
class Filters:
    """`since`: by the time of failure, or by the time of payment where only recovered ones are
    wanted.
    `least`, `most`: in dollars, so that currencies can be compared. `words`: the beginning of a
    member's name or address, or a payment's id. `population`: with one, payments that are in no
    figure are left out.
    """

    which: StatusFilter = StatusFilter.ALL
    decline_class: DeclineClass | None = None
    since: datetime | None = None
    least: Decimal | None = None
    most: Decimal | None = None
    product: str | None = None
    recovered_by: RecoveredBy | None = None
    population: Population | None = None
    words: str = ""


def find_page(
    session: Session,
    company_id: str,
    filters: Filters,
    order: Order = Order.NEWEST,
    *,
    after: Cursor | None = None,
    before: Cursor | None = None,
    limit: int = PAGE,
) -> Page:
    ids = apply_filters(select(Payment.id), company_id, filters)
    return read_page(session, ids, order, after=after, before=before, limit=limit)


def count_matches(session: Session, company_id: str, filters: Filters) -> int:
    """MOST_COUNTED + 1 means: more than MOST_COUNTED."""
    # No other column is selected, so that an index with the filters alone can answer.
    some = apply_filters(select(Payment.company_id), company_id, filters)
    if filters.words.strip():
        # Without an order, a beginning that most names share would be searched in all companies'
        # rows.
        some = some.order_by(Payment.failed_at.desc(), Payment.id.desc())
    some = some.limit(MOST_COUNTED + 1)
    return session.scalar(select(func.count()).select_from(some.subquery())) or 0


def list_all(
    session: Session, company_id: str, filters: Filters, order: Order
) -> Iterator[Payment]:
    """For an export: at most MOST_EXPORTED, read in portions."""
    columns = [column.desc() for column in find_key(order).clauses]
    query = (
        apply_filters(select(Payment), company_id, filters).order_by(*columns).limit(MOST_EXPORTED)
    )
    yield from session.scalars(query.execution_options(yield_per=1_000))


def list_products(session: Session, company_id: str) -> list[str]:
    """Of the newest failures only, since all products would mean reading all payments."""
    newest = (
        select(Payment.product)
        .where(Payment.company_id == company_id)
        .order_by(Payment.failed_at.desc(), Payment.id.desc())
        .limit(LOOKED_AT_FOR_PRODUCTS)
        .subquery()
    )
    query = select(newest.c.product).where(newest.c.product.is_not(None)).distinct()
    return list(session.scalars(query.order_by(newest.c.product).limit(MOST_PRODUCTS)))


def apply_filters(query: Select[Any], company_id: str, filters: Filters) -> Select[Any]:
    # invariant 6: the list is one company's
    query = query.where(Payment.company_id == company_id, *choose_status(filters.which))
    if filters.decline_class is not None:
        query = query.where(Payment.decline_class == filters.decline_class)
    if filters.since is not None:
        paid = filters.which is StatusFilter.RECOVERED
        query = query.where((Payment.recovered_at if paid else Payment.failed_at) >= filters.since)
    if filters.least is not None:
        query = query.where(Payment.amount_usd.is_not(None), filters.least <= VALUE_USD)
    if filters.most is not None:
        query = query.where(Payment.amount_usd.is_not(None), filters.most >= VALUE_USD)
    if filters.product is not None:
        query = query.where(Payment.product == filters.product)
    if filters.recovered_by is not None:
        query = query.where(Payment.recovered_by == filters.recovered_by)
    if filters.population is not None:
        since_setup = filters.population is Population.SINCE_SETUP
        query = query.where(Payment.since_setup.is_(since_setup))
    if words := filters.words.strip():
        query = query.where(matches_text(words))
    return query


def choose_status(which: StatusFilter) -> list[ColumnElement[bool]]:
    match which:
        case StatusFilter.ALL:
            return []
        case StatusFilter.UNPAID:
            return [Payment.status.in_(UNPAID)]
        case StatusFilter.NEEDS_YOU:
            return [NEEDS_CREATOR]
        case (
            StatusFilter.PENDING_RETRY
            | StatusFilter.FAILED
            | StatusFilter.RECOVERED
            | StatusFilter.PERMANENT_FAIL
        ):
            return [Payment.status == PaymentStatus(which.value)]
        case _:
            assert_never(which)


def matches_text(words: str) -> ColumnElement[bool]:
    """By the beginning of a name or an address, or by a whole id: an index can find these."""
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return or_(
        starts_with(Payment.member_name, escaped),
        starts_with(Payment.member_email, escaped),
        Payment.payment_id == words,
    )


def starts_with(column: InstrumentedAttribute[str | None], pattern: str) -> ColumnElement[bool]:
    # The database lowers both: its locale may know fewer letters than Python.
    return and_(column.is_not(None), func.lower(column).like(func.lower(f"{pattern}%")))
