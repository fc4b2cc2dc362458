"""The overview: what was recovered, what is at risk, and what needs the creator."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.overview import ROWS, Snapshot, take_snapshot
from dashboard.settings import DashboardSettings
from dashboard.ui import banners
from dashboard.ui.html import show_html
from dashboard.ui.links import render_link
from dashboard.ui.table import render_table
from dashboard.views.overview.attention import show_needs
from dashboard.views.overview.cards import show_cards
from dashboard.views.overview.findings import show_findings
from dashboard.views.overview.money import show_chart

TITLE = "💰 Revenue Recovery Dashboard"


def show(settings: DashboardSettings) -> None:
    st.title(TITLE, anchor=False)
    loading = st.empty()
    loading.info("Loading your payments…")
    refresh(settings)
    loading.empty()


@st.fragment(run_every=banners.REFRESH)
def refresh(settings: DashboardSettings) -> None:
    """Everything that changes. Each part keeps its place, filled or not, so that nothing jumps."""
    notice, figures, needs, money, payments = (st.container() for _ in range(5))
    snapshot = for_company(settings, take_snapshot)
    if isinstance(snapshot, Unavailable):
        with notice:
            banners.show_unavailable(snapshot)
        return
    with notice:
        banners.show_freshness(snapshot)
        banners.show_warnings(snapshot)
    with figures:
        show_cards(snapshot)
        show_findings(snapshot.findings, claims=bool(snapshot.summary.recovered.ours))
    if not snapshot.payments:
        with money:
            banners.show_first_steps(settings.base_url)
        return
    with needs:
        show_needs(snapshot)
    with money:
        show_chart(snapshot)
    with payments:
        show_payments(snapshot)


def show_payments(snapshot: Snapshot) -> None:
    st.header("Newest failed payments", anchor=False)
    show_html(render_table(snapshot.payments, snapshot.as_of, ZoneInfo(snapshot.time_zone)))
    show_html(
        Markup(
            '<p class="note">The {} newest failures, each in its own currency. “Retries” counts '
            "our charges, not Whop's. {}</p>"
        ).format(ROWS, render_link("All payments →", "payments"))
    )
