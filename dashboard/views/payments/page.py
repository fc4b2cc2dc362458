"""The payments page: the failed payments, filtered, a page at a time; or one of them in detail."""

from __future__ import annotations

from functools import partial
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.overview import PaymentRow
from dashboard.data.payments import Listing, Query, export, list_payments
from dashboard.settings import DashboardSettings
from dashboard.text.payment_csv import list_rows
from dashboard.ui import banners
from dashboard.ui.audit_list import show_audit_log
from dashboard.ui.html import show_html, show_note
from dashboard.ui.links import address, read_address, render_link
from dashboard.ui.table import render_table
from dashboard.views.payments.detail import show_detail
from dashboard.views.payments.filters import read_query, show_filters, store_filters
from db.reporting.pagination import PAGE
from db.reporting.search import MOST_COUNTED, MOST_EXPORTED
from recovery.wording import count


def show(settings: DashboardSettings) -> None:
    asked = read_address()
    if payment_id := asked.get("payment"):
        show_detail(settings, payment_id, store_filters(asked))
        return
    st.title("Payments", anchor=False)
    query = read_query(asked)
    show_filters(settings, query)
    refresh(settings, query)


@st.fragment(run_every=banners.REFRESH)
def refresh(settings: DashboardSettings, query: Query) -> None:
    listing = for_company(settings, list_payments, query)
    if isinstance(listing, Unavailable):
        banners.show_unavailable(listing)
        return
    show_count(settings, query, listing)
    if listing.rows:
        show_page(listing)
    else:
        show_nothing_found(filtered=bool(store_filters(read_address())))
    st.header("Activity log", anchor=False)
    show_audit_log(listing.entries, ZoneInfo(listing.time_zone))


def show_nothing_found(*, filtered: bool) -> None:
    if filtered:
        words, link = "No matches.", render_link("Clear filters", "payments")
    else:
        words, link = "No failed payments yet.", render_link("See how to try one", ".")
    show_html(Markup('<p class="lead">{} {}</p>').format(words, link))


def show_count(settings: DashboardSettings, query: Query, listing: Listing) -> None:
    more = listing.total > MOST_COUNTED
    number = f"{MOST_COUNTED:,}+ payments" if more else count(listing.total, "payment")
    total = number if listing.total else "No payments"
    pages = f", {PAGE} per page" if listing.total > PAGE else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        show_html(Markup('<p class="total"><b>{}</b>{}</p>').format(total, pages))
        st.download_button(
            "Download CSV",
            partial(export, settings, listing.company_id, query, list_rows),
            "payments.csv",
            "text/csv",
            key="export",
            on_click="ignore",
            disabled=not listing.rows,
        )
    if listing.total > MOST_COUNTED:
        show_note(
            f"The download contains the first {MOST_EXPORTED:,} payments in this order. Filter to "
            "get the others."
        )


def show_page(listing: Listing) -> None:
    kept = store_filters(read_address())

    def link(row: PaymentRow) -> str:
        return address("payments", kept | {"payment": row.payment_id})

    zone = ZoneInfo(listing.time_zone)
    show_html(render_table(listing.rows, listing.as_of, zone, "Failed payments", link))
    pages = (
        ("← Previous page", {"before": listing.before}, listing.before),
        ("Next page →", {"after": listing.after}, listing.after),
    )
    links = Markup("").join(
        render_link(words, address("payments", kept | mark))
        for words, mark, there in pages
        if there
    )
    if links:
        show_html(Markup('<nav class="pages" aria-label="Pages">{}</nav>').format(links))
