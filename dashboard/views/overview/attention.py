"""The overview's list of payments that need the creator."""

from __future__ import annotations

import streamlit as st
from markupsafe import Markup

from dashboard.data.overview import PaymentRow, Snapshot
from dashboard.ui.html import show_html
from dashboard.ui.links import address, render_link
from dashboard.ui.table import link_to_detail
from db.reporting.attention import Needed
from recovery.action_required import REMEDIES
from recovery.labels import NEEDS
from recovery.wording import count, format_money


def show_needs(snapshot: Snapshot) -> None:
    """Draws nothing while nothing waits: people only read a list that is usually empty."""
    total = sum(needed.payments for needed in snapshot.needed)
    if not total:
        return
    st.header("Needs you", anchor=False)
    everything = render_link(
        f"See {'the payment' if total == 1 else f'all {total:,}'} →",
        address("payments", {"status": "needs_you"}),
    )
    show_html(
        Markup(
            '<ul class="needs">{}</ul><ul class="needing-action">{}</ul><p class="more">{}</p>'
        ).format(
            Markup("").join(render_needed(needed) for needed in snapshot.needed),
            Markup("").join(render_needing_action(row) for row in snapshot.needing_action),
            everything,
        )
    )


def render_needed(needed: Needed) -> Markup:
    payments = count(needed.payments, "payment")
    return Markup("<li><b>{}</b>: {}. <i>{}.</i></li>").format(
        payments, NEEDS[needed.need], REMEDIES[needed.need]
    )


def render_needing_action(row: PaymentRow) -> Markup:
    words = f"{row.member}, {format_money(row.amount, row.currency)}"
    return Markup("<li>{}</li>").format(render_link(words, link_to_detail(row)))
