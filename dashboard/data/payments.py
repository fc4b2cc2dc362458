"""What the payments page reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from dashboard.data.caching import FRESH, SLOW, cached
from dashboard.data.csv_export import to_csv
from dashboard.data.database import Unavailable, read, write
from dashboard.data.overview import PaymentRow, copy_payments
from dashboard.data.viewpoint import choose_viewpoint
from dashboard.settings import DashboardSettings
from db import audit_log
from db.audit_log import DASHBOARD
from db.ledger import requests
from db.models import AuditEntry, Payment
from db.reporting import payment_detail, search
from db.reporting.next_steps import Viewpoint
from db.reporting.pagination import Order, read_cursor
from db.reporting.search import Filters
from db.reporting.summary import find_time_zone
from db.session import now
from recovery.status import RequestKind
from recovery.wording import Period, find_start


@dataclass(frozen=True, slots=True)
class Query:
    """The query in the address. `after`, `before`: the paging marks of `search`."""

    filters: Filters
    within: Period = Period.ALL
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
    entries: tuple[AuditEntry, ...]
    as_of: datetime


@cached(FRESH)
def list_payments(
    settings: DashboardSettings, company_id: str | None, query: Query
) -> Listing | Unavailable:
    view = choose_viewpoint(settings, now())
    return read(settings, lambda session: read_listing(session, company_id, query, view))


def read_listing(
    session: Session, company_id: str | None, query: Query, view: Viewpoint
) -> Listing:
    whose, at = company_id or "", view.now
    filters = narrow(session, whose, query, at)
    page = search.find_page(
        session,
        whose,
        filters,
        query.order,
        after=read_cursor(query.after, query.order),
        before=read_cursor(query.before, query.order),
    )
    return Listing(
        company_id=company_id,
        time_zone=find_time_zone(session, whose).key,
        rows=copy_payments(session, whose, page.payments, view),
        before=str(page.before or ""),
        after=str(page.after or ""),
        total=search.count_matches(session, whose, filters),
        entries=tuple(audit_log.list_entries(session, whose)),
        as_of=at,
    )


def narrow(session: Session, company_id: str, query: Query, at: datetime) -> Filters:
    """The filters with the moment that their period starts at."""
    since = find_start(query.within, at, find_time_zone(session, company_id))
    return replace(query.filters, since=since)


@cached(SLOW)
def list_products(settings: DashboardSettings, company_id: str | None) -> list[str] | Unavailable:
    return read(settings, lambda session: search.list_products(session, company_id or ""))


def read_detail(
    settings: DashboardSettings, company_id: str | None, payment_id: str, at: datetime
) -> payment_detail.PaymentDetail | Unavailable | None:
    """None: no such payment, or none of this company's, which is the same."""
    whose, view = company_id or "", choose_viewpoint(settings, at, exact=True)
    return read(
        settings, lambda session: payment_detail.read_detail(session, whose, payment_id, view)
    )


def ask(
    settings: DashboardSettings, payment: Payment, kind: RequestKind, at: datetime
) -> Unavailable | None:
    """Stores a request for the daemon."""

    def put(session: Session) -> None:
        requests.ask(session, payment.payment_id, kind, DASHBOARD, at, payment.company_id)

    return write(settings, put)


# Payments that are copied together, for a file: what happens next is asked for all at once.
PORTION = 500
Portion = tuple[Sequence[Payment], Sequence[PaymentRow]]
WriteRows = Callable[[Iterable[Portion], ZoneInfo, datetime], Iterable[Sequence[object]]]


def export(
    settings: DashboardSettings, company_id: str | None, query: Query, write_rows: WriteRows
) -> bytes:
    """At most `search.MOST_EXPORTED` payments; the first rows of what the page lists. `write_rows`
    makes the file's rows of them."""
    whose, view = company_id or "", choose_viewpoint(settings, now())

    def write_out(session: Session) -> bytes:
        filters = narrow(session, whose, query, view.now)
        chosen = search.list_all(session, whose, filters, query.order)
        portions = copy_portions(session, whose, chosen, view)
        return to_csv(write_rows(portions, find_time_zone(session, whose), view.now))

    done = read(settings, write_out)
    return to_csv([["the database does not answer"]]) if isinstance(done, Unavailable) else done


def copy_portions(
    session: Session, company_id: str, chosen: Iterator[Payment], view: Viewpoint
) -> Iterator[Portion]:
    while portion := list(islice(chosen, PORTION)):
        yield portion, copy_payments(session, company_id, portion, view)
