"""What the payments page reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from enum import StrEnum

import streamlit as st
from sqlalchemy.orm import Session

from dashboard.data.csv_export import to_csv
from dashboard.data.database import Trouble, find_company, read, write
from dashboard.data.overview import FRESH, SLOW, PaymentRow, copy_payment
from dashboard.settings import DashboardSettings
from db import audit_log
from db.ledger import requests
from db.models import Deed, Payment
from db.reporting import payment_detail as story
from db.reporting import search
from db.reporting import summary as stats
from db.reporting.attention import find_needs_of
from db.reporting.pagination import Order, read_mark
from db.reporting.search import Filters
from db.session import now
from recovery.status import RequestKind

DASHBOARD = "dashboard"
"""Who acts: nobody signs in yet."""
CSV_COLUMNS = (
    "payment_id",
    "failed_at",
    "member",
    "email",
    "product",
    "amount",
    "currency",
    "amount_usd",
    "refunded",
    "reason",
    "decline_code",
    "decline_class",
    "status",
    "retries",
    "next_retry_at",
    "whop_next_attempt_at",
    "window_ends_at",
    "recovered_at",
    "recovered_by",
    "closed_reason",
)


class Within(StrEnum):
    """The value stands in the page's address and in the list of choices. Whole local days, today
    included, as the overview's chart counts them."""

    EVER = "any time"
    WEEK = "7 days"
    MONTH = "30 days"
    QUARTER = "90 days"
    HALF_YEAR = "6 months"
    THIS_MONTH = "this month"


DAYS = {Within.WEEK: 7, Within.MONTH: 30, Within.QUARTER: 90, Within.HALF_YEAR: 182}


@dataclass(frozen=True, slots=True)
class Query:
    """What the address asks for. `after`, `before`: where a page begins, as `search` marks it."""

    filters: Filters
    within: Within = Within.EVER
    order: Order = Order.NEWEST
    after: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of payments; `total` is one more than is counted where there are more."""

    company_id: str | None
    time_zone: str
    rows: tuple[PaymentRow, ...]
    before: str
    after: str
    total: int
    deeds: tuple[Deed, ...]
    as_of: datetime


@st.cache_data(ttl=FRESH, max_entries=200, show_spinner=False)
def list_payments(_settings: DashboardSettings, query: Query) -> Listing | Trouble:
    at = now()
    return read(_settings, lambda session: read_listing(session, _settings, query, at))


def read_listing(
    session: Session, settings: DashboardSettings, query: Query, at: datetime
) -> Listing | Trouble:
    found = find_company(session, settings.whop_company_id)
    if isinstance(found, Trouble):
        return found
    whose = found or ""
    filters = narrow(session, whose, query, at)
    page = search.find_page(
        session,
        whose,
        filters,
        query.order,
        after=read_mark(query.after, query.order),
        before=read_mark(query.before, query.order),
    )
    needs = find_needs_of(session, [payment.id for payment in page.payments])
    return Listing(
        company_id=found,
        time_zone=stats.find_time_zone(session, whose).key,
        rows=tuple(copy_payment(payment, needs.get(payment.id)) for payment in page.payments),
        before=str(page.before or ""),
        after=str(page.after or ""),
        total=search.count_matches(session, whose, filters),
        deeds=tuple(audit_log.list_deeds(session, whose)),
        as_of=at,
    )


def narrow(session: Session, company_id: str, query: Query, at: datetime) -> Filters:
    """The filters with the moment that their period starts at."""
    if query.within is Within.EVER:
        return query.filters
    zone = stats.find_time_zone(session, company_id)
    today = at.astimezone(zone).date()
    if query.within is Within.THIS_MONTH:
        first = today.replace(day=1)
    else:
        first = today - timedelta(days=DAYS[query.within] - 1)
    since = datetime.combine(first, time(), zone)
    return replace(query.filters, since=since)


@st.cache_data(ttl=SLOW, max_entries=1, show_spinner=False)
def list_products(_settings: DashboardSettings) -> list[str] | Trouble:
    def read_products(session: Session) -> list[str] | Trouble:
        found = find_company(session, _settings.whop_company_id)
        return found if isinstance(found, Trouble) else search.list_products(session, found or "")

    return read(_settings, read_products)


def read_story(
    settings: DashboardSettings, payment_id: str, at: datetime
) -> story.Story | Trouble | None:
    """None: no such payment, or none of this company's, which is the same."""

    def tell(session: Session) -> story.Story | Trouble | None:
        found = find_company(session, settings.whop_company_id)
        if isinstance(found, Trouble) or found is None:
            return found
        return story.tell(session, found, payment_id, at, settings.rules)

    return read(settings, tell)


def ask(
    settings: DashboardSettings, payment: Payment, kind: RequestKind, at: datetime
) -> Trouble | None:
    """Asks the daemon."""

    def put(session: Session) -> None:
        requests.ask(session, payment.payment_id, kind, DASHBOARD, at, payment.company_id)

    return write(settings, put)


def export(settings: DashboardSettings, query: Query) -> bytes:
    """At most `search.MOST_EXPORTED` payments; the first rows of what the page lists."""
    at = now()

    def write_out(session: Session) -> bytes | Trouble:
        found = find_company(session, settings.whop_company_id)
        if isinstance(found, Trouble):
            return found
        filters = narrow(session, found or "", query, at)
        chosen = search.list_all(session, found or "", filters, query.order)
        return to_csv(list_rows(chosen))

    done = read(settings, write_out)
    return to_csv([["the database does not answer"]]) if isinstance(done, Trouble) else done


def list_rows(chosen: Iterator[Payment]) -> Iterator[tuple[object, ...]]:
    yield CSV_COLUMNS
    for payment in chosen:
        yield (
            payment.payment_id,
            payment.failed_at.isoformat(),
            payment.member_name,
            payment.member_email,
            payment.product,
            payment.amount,
            payment.currency,
            payment.amount_usd,
            payment.refunded_amount,
            payment.reason,
            payment.decline_code,
            payment.decline_class.value,
            payment.status.value,
            payment.retry_count,
            write_time(payment.next_retry_at),
            write_time(payment.whop_next_attempt_at),
            payment.window_ends_at.isoformat(),
            write_time(payment.recovered_at),
            payment.recovered_by and payment.recovered_by.value,
            payment.closed_reason and payment.closed_reason.value,
        )


def write_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
