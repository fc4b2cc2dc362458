"""The overview's list of what only the creator can help with."""

from __future__ import annotations

from html import escape

import streamlit as st

from dashboard.data.overview import PaymentRow, Snapshot
from dashboard.text.payments import count
from dashboard.ui.links import address, render_link
from dashboard.ui.table import link_to_story
from db.reporting.attention import Needed
from recovery.action_required import NEEDS
from recovery.money import format_money


def show_needs(snapshot: Snapshot) -> None:
    """Nothing at all where nothing waits: a list is only looked at if it is mostly empty."""
    total = sum(needed.payments for needed in snapshot.needed)
    if not total:
        return
    st.header("Needs you", anchor=False)
    everything = render_link(
        f"See {'it' if total == 1 else f'all {total:,}'} →",
        address("payments", {"status": "needs_you"}),
    )
    st.html(
        '<ul class="needs">'
        + "".join(render_needed(needed) for needed in snapshot.needed)
        + "</ul>"
        + '<ul class="needy">'
        + "".join(render_needy(row) for row in snapshot.needy)
        + f'</ul><p class="more">{everything}</p>'
    )


def render_needed(needed: Needed) -> str:
    advice = NEEDS[needed.need]
    payments = count(needed.payments, "payment")
    return f"<li><b>{payments}</b>: {escape(advice.problem)}. <i>{escape(advice.remedy)}.</i></li>"


def render_needy(row: PaymentRow) -> str:
    words = f"{escape(row.member)}, {escape(format_money(row.amount, row.currency))}"
    return f"<li>{render_link(words, link_to_story(row))}</li>"
