"""The chart of failed and recovered money, and the days it is zoomed to."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.money import PERIODS, TONES, describe_money, draw_money, narrow, render_key
from dashboard.data.overview import Snapshot
from dashboard.ui.html import show_html, show_note
from dashboard.ui.links import SINCE, address
from dashboard.ui.palette import choose
from recovery.wording import DAYS, Period

CHART = "money"
PERIOD = "period"
# Zooming is kept here and not in the browser: Streamlit builds a chart anew when its data changes,
# and Plotly's own zoom would be lost with the old one.
CLOSER = "closer"


def show_chart(snapshot: Snapshot) -> None:
    st.header("Failed and recovered money", anchor=False)
    # A finger that drags across the chart means to scroll the page.
    on_phone = "Mobi" in st.context.headers.get("User-Agent", "")
    choices = st.container(horizontal=True, vertical_alignment="center")
    with choices:
        period = choose_period()
    closer = st.session_state.get(CLOSER)
    whole = snapshot.days[-DAYS[period] :]
    days = whole if closer is None else narrow(whole, period, *closer)
    if len(days) < len(whole):
        choices.button("Show all", on_click=zoom_out)
    # A closer look is at days that no filter of the payments page names.
    show_html(render_key(days, link_to_payments(period) if len(days) == len(whole) else None))
    st.plotly_chart(
        draw_money(days, period, choose(st.context.theme.type), zoom=not on_phone),
        key=CHART,
        theme=None,
        config={"displayModeBar": False, "responsive": True},
        on_select="ignore" if on_phone else zoom_in,
        selection_mode="box",
        alt=describe_money(days),
    )
    hint = "" if on_phone else " Drag across the chart to zoom in."
    show_note(
        "In US dollars, since the set-up and as of today: a refund or a dispute is subtracted on "
        "the day that the money came back. Failed money is on the day of the "
        "failure, recovered money on the day of the payment, so one day can show more recovered "
        "than failed."
        f"{hint}"
    )


def link_to_payments(period: Period) -> dict[str, str]:
    paid = SINCE | {"status": "recovered", "within": period.value}
    recovered = {tone: address("payments", paid | {"by": by.value}) for by, tone in TONES.items()}
    return {"failed": address("payments", SINCE | {"within": period.value})} | recovered


def choose_period() -> Period:
    chosen = st.segmented_control(
        "Period",
        PERIODS,
        default=Period.MONTH,
        required=True,
        key=PERIOD,
        bind="query-params",
        on_change=zoom_out,
        label_visibility="collapsed",
    )
    return Period(chosen)


def zoom_in() -> None:
    boxes = st.session_state[CHART].selection.box
    if boxes:
        st.session_state[CLOSER] = tuple(boxes[0]["x"])


def zoom_out() -> None:
    st.session_state.pop(CLOSER, None)
