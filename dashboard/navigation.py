"""The script that Streamlit runs for every reader: it shows the page that the address names."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from dashboard.data.database import Unavailable, find_company
from dashboard.settings import DashboardSettings
from dashboard.ui import links
from dashboard.ui.html import show_html
from dashboard.ui.palette import render_style
from dashboard.views.health import page as health
from dashboard.views.insights import page as insights
from dashboard.views.messages import page as messages
from dashboard.views.overview import page as overview
from dashboard.views.payments import page as payments
from dashboard.views.settings import page as settings_page
from db.settings import load_settings

NAME = "Revenue Recovery"
ICON = Path(__file__).parent / "icon.png"
# In the session: the company whose pages were shown last.
WHOSE = "whose"
# The title in the navigation, the path in the address, what shows it. The first lies at the root.
PAGES = (
    ("Overview", "overview", overview.show),
    ("Payments", "payments", payments.show),
    ("Insights", "insights", insights.show),
    ("Messages", "messages", messages.show),
    ("Settings", "settings", settings_page.show),
    ("Health", "health", health.show),
)


def main() -> None:
    # A file of our own: for an emoji or an icon's name the browser would ask Google or a CDN.
    st.set_page_config(NAME, str(ICON), layout="wide")
    show_html(render_style())
    try:
        settings = load_settings(DashboardSettings)
    except SystemExit:
        # Streamlit would swallow it and leave the page blank.
        st.title(overview.TITLE, anchor=False)
        st.error("The dashboard cannot start. Its log names the settings to correct.")
        return
    isolate_browser(find_company(settings))
    pages = {
        path: st.Page(partial(show, settings), title=title, url_path=path, default=number == 0)
        for number, (title, path, show) in enumerate(PAGES)
    }
    page = st.navigation(list(pages.values()), position="top")
    st.set_page_config(f"{page.title} · {NAME}")
    links.follow(pages)
    page.run()


def isolate_browser(company_id: str | Unavailable | None) -> None:
    """Forgets what was typed on another company's pages."""
    if company_id is None or isinstance(company_id, Unavailable):
        return
    state = st.session_state
    if state.get(WHOSE, company_id) != company_id:
        state.clear()
    state[WHOSE] = company_id


main()
