"""The entry: `streamlit run dashboard/app.py`, port 3000."""

from __future__ import annotations

import site
from functools import partial
from pathlib import Path

import streamlit as st

# Streamlit puts this folder on the path; the packages lie in its parent. Added once, though the
# file runs for every reader.
site.addsitedir(str(Path(__file__).resolve().parent.parent))

from dashboard.palette import render_style
from dashboard.settings import DashboardSettings
from dashboard.views import health, insights, overview
from db.settings import load_settings

ICON = Path(__file__).parent / "icon.png"
# The title in the navigation, the path in the address, what shows it. The first lies at the root.
PAGES = (
    ("Overview", "overview", overview.show),
    ("Insights", "insights", insights.show),
    ("Health", "health", health.show),
)


def main() -> None:
    # A file of our own: for an emoji or an icon's name the browser would ask Google or a CDN.
    st.set_page_config("Revenue Recovery", str(ICON), layout="wide")
    st.html(render_style())
    st.title("💰 Revenue Recovery Dashboard", anchor=False)
    try:
        settings = load_settings(DashboardSettings)
    except SystemExit:
        # Streamlit would swallow it and leave the page blank.
        st.error("The dashboard cannot start. Its log names the settings to correct.")
        return
    pages = [
        st.Page(partial(show, settings), title=title, url_path=path, default=number == 0)
        for number, (title, path, show) in enumerate(PAGES)
    ]
    st.navigation(pages, position="top").run()


main()
