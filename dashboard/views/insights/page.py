"""Why payments fail, what brings them back, and when. A click on a group narrows all charts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from markupsafe import Markup

from dashboard.data import insights as figures
from dashboard.data.database import Unavailable, for_company
from dashboard.data.insights import SPANS, NothingToShowError, View, Whose, find_whose
from dashboard.settings import DashboardSettings
from dashboard.text.insights import describe_whole
from dashboard.ui import banners
from dashboard.ui.html import show_html
from dashboard.ui.palette import choose as choose_palette
from dashboard.ui.palette import render_insight_style
from dashboard.views.insights.panels import read_choices, show_chips
from dashboard.views.insights.parts import SHOWN, Part
from recovery.wording import Period


def show(settings: DashboardSettings) -> None:
    show_html(render_insight_style())
    st.title("Insights", anchor=False)
    refresh(settings)


@st.fragment(run_every=banners.REFRESH)
def refresh(settings: DashboardSettings) -> None:
    """Often, to see a database that is back; the figures themselves are kept for five minutes."""
    whose = for_company(settings, find_whose)
    try:
        if isinstance(whose, Unavailable):
            raise NothingToShowError(whose)
        show_figures(settings, whose)
    except NothingToShowError as error:
        banners.show_unavailable(error.reason)


def show_figures(settings: DashboardSettings, whose: Whose) -> None:
    period = Period(pick("Failed within", "span", SPANS, Period.QUARTER))
    part = Part(pick("Show", "part", list(Part), Part.WHY))
    view = View(whose.company_id, whose.time_zone, period, read_choices())
    whole = figures.read_whole(settings, view)
    show_html(Markup('<p class="lead">{}</p>').format(describe_whole(whole, period)))
    if part is not Part.LIFT:
        show_chips(view.only)
    colours = choose_palette(st.context.theme.type)
    SHOWN[part](settings, view, colours)


def pick(label: str, key: str, options: Sequence[str], default: str) -> str:
    chosen = st.segmented_control(
        label,
        options,
        default=default,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return str(chosen)
