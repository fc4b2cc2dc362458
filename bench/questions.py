"""The dashboard's queries: those of each refresh of the overview, and each filter of the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from db.reporting import attention, groups, health, insights, search, trends
from db.reporting.cohorts import Cohort, Dimension
from db.reporting.figures import Day
from db.reporting.given_back import find_given_back
from db.reporting.lift import measure_baseline, measure_lift
from db.reporting.month_ends import find_month_end
from db.reporting.pagination import Order
from db.reporting.search import Filters, StatusFilter
from db.reporting.summary import find_time_zone, read_figures
from recovery.declines import DeclineClass
from recovery.status import RecoveredBy

Question = Callable[[Session, str, datetime], object]

# The same as in dashboard/data/overview.py. Importing that would make Streamlit print warnings.
HISTORY_DAYS = 26 * 7
ROWS, ATTENTION_ROWS = 25, 5
MONTH = timedelta(days=30)
# As bench/filling.py chooses it for all.
ZONE = ZoneInfo("America/New_York")


def list_newest(session: Session, whose: str, at: datetime) -> object:
    newest = search.find_page(session, whose, Filters(), limit=ROWS).payments
    return attention.find_needs_of(session, [payment.id for payment in newest])


def find_state(session: Session, whose: str, at: datetime) -> object:
    return health.find_sync(session, whose), health.find_heartbeat(session)


def find_trends(session: Session, whose: str, at: datetime) -> object:
    """Beside the days, which are read anyway."""
    days = [Day((at - timedelta(days=ago)).date()) for ago in reversed(range(HISTORY_DAYS))]
    return trends.find_trends(session, whose, ZONE, days, date(2020, 1, 1), at)


OVERVIEW: dict[str, Question] = {
    "time zone": lambda session, whose, at: find_time_zone(session, whose),
    "summary, and days of half a year": lambda session, whose, at: read_figures(
        session, whose, ZONE, at, HISTORY_DAYS
    ),
    "trends": find_trends,
    "given back": lambda session, whose, at: find_given_back(session, whose, at - MONTH),
    "how the last month ended": lambda session, whose, at: find_month_end(
        session, whose, (at - MONTH).date().replace(day=1)
    ),
    "at risk": trends.find_at_risk,
    "what needs the creator": lambda session, whose, at: attention.count_needed(session, whose),
    "the largest of it": lambda session, whose, at: attention.list_needed(
        session, whose, ATTENTION_ROWS
    ),
    "newest payments": list_newest,
    "state of reading and retrying": find_state,
}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One query of the payments list. `second_page` reads that one too."""

    filters: Filters = field(default_factory=Filters)
    order: Order = Order.NEWEST
    days: int | None = None
    second_page: bool = False

    def find_page(self, session: Session, whose: str, at: datetime) -> object:
        filters = self.narrow(at)
        page = search.find_page(session, whose, filters, self.order)
        if self.second_page and page.after is not None:
            page = search.find_page(session, whose, filters, self.order, after=page.after)
        return page, attention.find_needs_of(session, [payment.id for payment in page.payments])

    def count(self, session: Session, whose: str, at: datetime) -> object:
        return search.count_matches(session, whose, self.narrow(at))

    def narrow(self, at: datetime) -> Filters:
        since = None if self.days is None else at - timedelta(days=self.days)
        return replace(self.filters, since=since)


def list_query(
    order: Order = Order.NEWEST, days: int | None = None, second_page: bool = False, **wanted: Any
) -> ListQuery:
    return ListQuery(Filters(**wanted), order, days, second_page)


# For each kind of filter a common and a rare value, because Postgres plans them differently.
LIST_QUERIES = {
    "payments, newest first": list_query(second_page=True),
    "payments, largest first": list_query(Order.LARGEST, second_page=True),
    "unpaid": list_query(which=StatusFilter.UNPAID),
    "needs you": list_query(which=StatusFilter.NEEDS_YOU),
    "planned": list_query(which=StatusFilter.PENDING_RETRY),
    "recovered": list_query(which=StatusFilter.RECOVERED),
    "recovered, largest first": list_query(Order.LARGEST, which=StatusFilter.RECOVERED),
    "recovered in 30 days": list_query(which=StatusFilter.RECOVERED, days=30),
    "recovered in half a year": list_query(which=StatusFilter.RECOVERED, days=182),
    "recovered by us": list_query(which=StatusFilter.RECOVERED, recovered_by=RecoveredBy.RETRY),
    "given up": list_query(which=StatusFilter.PERMANENT_FAIL),
    "failed in 7 days": list_query(days=7),
    "a common reason": list_query(decline_class=DeclineClass.CARD),
    "a rare reason": list_query(decline_class=DeclineClass.AMOUNT),
    "a reason of long ago": list_query(decline_class=DeclineClass.UNKNOWN),
    "a reason of long ago, largest first": list_query(
        Order.LARGEST, decline_class=DeclineClass.UNKNOWN
    ),
    "a reason that is not there": list_query(decline_class=DeclineClass.TEST),
    "a rare reason, largest first": list_query(Order.LARGEST, decline_class=DeclineClass.AMOUNT),
    "a common product": list_query(product="Pro"),
    "a rare product": list_query(product="Founders"),
    "a common amount": list_query(least=Decimal(50), most=Decimal(100)),
    "no such amount": list_query(least=Decimal(1000)),
    "words: a common name": list_query(words="ada"),
    "words: one name": list_query(words="ada 3f2"),
    "words: begins most addresses": list_query(words="m"),
    "words: some addresses": list_query(words="m12"),
    "words: one address": list_query(words="m1234567@"),
    "words: nobody": list_query(words="zz"),
    "words: a payment": list_query(words="pay_0000000012345678"),
    "words: a common name, largest first": list_query(Order.LARGEST, words="ada"),
    "words and a reason": list_query(words="ada", decline_class=DeclineClass.AMOUNT),
}
PAGES: dict[str, Question] = {name: query.find_page for name, query in LIST_QUERIES.items()}
# Only for one order, because the count is the same for all.
COUNTS: dict[str, Question] = {
    f"count of: {name}": query.count
    for name, query in LIST_QUERIES.items()
    if query.order is Order.NEWEST
}


def ask_insights(what: Callable[[Session, Cohort], object], days: int | None) -> Question:
    def ask(session: Session, whose: str, at: datetime) -> object:
        since = None if days is None else at - timedelta(days=days)
        return what(session, Cohort(whose, find_time_zone(session, whose), since, at))

    return ask


def list_groups(by: Dimension) -> Callable[[Session, Cohort], object]:
    return lambda session, cohort: groups.list_groups(session, cohort, by)


CACHED: dict[str, Question] = {
    "lift": measure_lift,
    "before set-up": lambda session, whose, at: measure_baseline(session, whose),
    "insights, the whole": ask_insights(groups.sum_cohort, None),
    "insights, the whole of 90 days": ask_insights(groups.sum_cohort, 90),
    "insights by reason": ask_insights(list_groups(Dimension.CLASS), None),
    "insights by hour": ask_insights(list_groups(Dimension.HOUR), None),
    "insights by month": ask_insights(list_groups(Dimension.MONTH), None),
    "insights by product": ask_insights(list_groups(Dimension.PRODUCT), None),
    "insights by card": ask_insights(list_groups(Dimension.BRAND), None),
    "insights by try": ask_insights(insights.list_tries, None),
    "insights, the curve": ask_insights(insights.list_hours, None),
    "insights, what is watched": ask_insights(insights.count_watched, None),
    "insights by message": ask_insights(insights.list_steps, None),
    "products to choose from": lambda session, whose, at: search.list_products(session, whose),
    "health": health.gather_facts,
}
