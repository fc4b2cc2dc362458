"""The insights page: why payments fail, what recovers them and when. A click filters all."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from markupsafe import Markup

from dashboard.data import insights as figures
from dashboard.data.database import Unavailable, for_company
from dashboard.data.insights import SPANS, CompanyInfo, NothingToShowError, View, find_company_info
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
    """Often, to notice a database that is back; the figures are cached for five minutes."""
    company = for_company(settings, find_company_info)
    try:
        if isinstance(company, Unavailable):
            raise NothingToShowError(company)
        show_figures(settings, company)
    except NothingToShowError as error:
        banners.show_unavailable(error.reason)


def show_figures(settings: DashboardSettings, company: CompanyInfo) -> None:
    period = Period(pick("Failed within", "span", SPANS, Period.QUARTER))
    part = Part(pick("Show", "part", list(Part), Part.WHY))
    view = View(company.company_id, company.time_zone, period, read_choices())
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
