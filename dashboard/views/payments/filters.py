"""The payments page's filters. The address holds them; the widgets show and change it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import streamlit as st

from dashboard.data.database import Unavailable, for_company
from dashboard.data.payments import Query, list_products
from dashboard.settings import DashboardSettings
from db.reporting.pagination import Order, parse_amount
from db.reporting.search import Filters, Population, StatusFilter
from recovery.declines import DeclineClass
from recovery.labels import REASONS, RECOVERED_BY, STATUSES
from recovery.status import RecoveredBy
from recovery.wording import Period

Choice = TypeVar("Choice", bound=StrEnum)
ANY = ""
WHICH: dict[str, str] = {
    StatusFilter.ALL: "All",
    StatusFilter.UNPAID: "Unpaid",
    StatusFilter.NEEDS_YOU: "Needs you",
    **{StatusFilter(status): label for status, label in STATUSES.items()},
}
CLASSES = {ANY: "Any reason"} | {str(cls): label for cls, label in REASONS.items()}
BY = {ANY: "Anyone"} | {str(by): label for by, label in RECOVERED_BY.items()}
POPULATIONS: dict[str, str] = {
    ANY: "Before and after",
    Population.SINCE_SETUP: "Since the set-up",
    Population.BEFORE_SETUP: "Before the set-up",
}
ORDERS: dict[str, str] = {Order.NEWEST: "Newest first", Order.LARGEST: "Largest first"}
# The filters' names in the address. Paging and the choice of one payment are not filters.
NAMES = ("status", "within", "setup", "class", "product", "by", "least", "most", "q", "sort")
DEFAULTS = {
    "status": StatusFilter.ALL.value,
    "within": Period.ALL.value,
    "sort": Order.NEWEST.value,
}


def read_query(address: Mapping[str, str]) -> Query:
    """Nonsense is left out: anybody can type an address."""
    filters = Filters(
        which=choose(StatusFilter, address.get("status")) or StatusFilter.ALL,
        decline_class=choose(DeclineClass, address.get("class")),
        least=read_amount(address.get("least")),
        most=read_amount(address.get("most")),
        product=address.get("product") or None,
        recovered_by=choose(RecoveredBy, address.get("by")),
        population=choose(Population, address.get("setup")),
        words=address.get("q", "").strip(),
    )
    return Query(
        filters=filters,
        within=choose(Period, address.get("within")) or Period.ALL,
        order=choose(Order, address.get("sort")) or Order.NEWEST,
        after=address.get("after", ""),
        before=address.get("before", ""),
    )


def choose(kind: type[Choice], word: str | None) -> Choice | None:
    return next((choice for choice in kind if choice.value == word), None)


def read_amount(text: str | None) -> Decimal | None:
    try:
        amount = parse_amount(text or "")
    except ValueError:
        return None
    return amount if amount >= 0 else None


def store_filters(address: Mapping[str, str]) -> dict[str, str]:
    """Those that narrow anything, for links that keep them."""
    return {
        name: value
        for name in NAMES
        if (value := address.get(name)) and value != DEFAULTS.get(name)
    }


def show_filters(settings: DashboardSettings, query: Query) -> None:
    set_widgets(query)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Search",
            key="find-q",
            placeholder="Start of a name or email, or payment ID",
            on_change=apply,
            width=320,
        )
        select("Status", "find-status", WHICH, 170)
        paid = query.filters.which is StatusFilter.RECOVERED
        within = {period.value: period.label for period in Period}
        select("Paid within" if paid else "Failed within", "find-within", within, 150)
        select("Sort", "find-sort", ORDERS, 150)
        with st.popover("More filters"):
            select("Reason", "find-class", CLASSES)
            select("Recovered by", "find-by", BY)
            select("Set-up", "find-setup", POPULATIONS)
            select("Product", "find-product", name_products(settings, query))
            st.number_input("Minimum, US dollars", 0.0, key="find-least", on_change=apply)
            st.number_input("Maximum, US dollars", 0.0, key="find-most", on_change=apply)


def select(label: str, key: str, names: Mapping[str, str], width: int | None = None) -> None:
    st.selectbox(
        label,
        list(names),
        format_func=lambda choice: names.get(choice, choice),
        key=key,
        on_change=apply,
        width=width or "stretch",
    )


def name_products(settings: DashboardSettings, query: Query) -> dict[str, str]:
    found = for_company(settings, list_products)
    names = [] if isinstance(found, Unavailable) else found
    chosen = [query.filters.product] if query.filters.product else []
    return {ANY: "Any product"} | {name: name for name in [*chosen, *names]}


def set_widgets(query: Query) -> None:
    filters = query.filters
    st.session_state.update(
        {
            "find-q": filters.words,
            "find-status": filters.which.value,
            "find-within": query.within.value,
            "find-sort": query.order.value,
            "find-class": filters.decline_class.value if filters.decline_class else ANY,
            "find-by": filters.recovered_by.value if filters.recovered_by else ANY,
            "find-setup": filters.population.value if filters.population else ANY,
            "find-product": filters.product or ANY,
            "find-least": None if filters.least is None else float(filters.least),
            "find-most": None if filters.most is None else float(filters.most),
        }
    )


def apply() -> None:
    """Writes the widgets' values into the address; the list starts again at its first page."""
    chosen = {name: write_value(st.session_state.get(f"find-{name}")) for name in NAMES}
    st.query_params.from_dict(store_filters(chosen))


def write_value(value: str | float | None) -> str:
    return f"{value:.15g}" if isinstance(value, float) else value or ""
