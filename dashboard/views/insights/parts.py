"""The page's parts: the charts and notes of each."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import streamlit as st
from markupsafe import Markup

from dashboard.charts.bars import NEWER, NOT_BACK, Bar
from dashboard.charts.columns import draw_columns
from dashboard.charts.curve import draw_curve
from dashboard.charts.lift import draw_lift
from dashboard.charts.steps import STAGES, draw_steps
from dashboard.charts.tables import (
    list_curve_rows,
    list_lift_rows,
    list_step_rows,
    list_try_rows,
)
from dashboard.data import insights as figures
from dashboard.data.insights import View
from dashboard.settings import DashboardSettings
from dashboard.text.insights import describe_curve, describe_steps, describe_tries
from dashboard.text.lift import (
    describe_baseline,
    describe_lift,
    describe_pooled,
    describe_unneeded,
)
from dashboard.ui.html import show_html
from dashboard.ui.palette import Palette
from dashboard.views.insights.groups import show_groups
from dashboard.views.insights.panels import PARTS, Panel, render_key, show_panel
from db.reporting.cohorts import Dimension
from db.reporting.insights import Try
from recovery.lift.comparison import Lift

NOT_IMPORTED = (
    "Without payments that had failed when you installed this: their beginning is not known."
)


class Part(StrEnum):
    """Only the chosen part is computed. The value stands in the page's address."""

    WHY = "Reasons and tries"
    WHEN = "Time"
    WHAT = "Products and cards"
    MESSAGES = "Messages"
    LIFT = "Our impact"


def show_why(settings: DashboardSettings, view: View, colours: Palette) -> None:
    show_html(render_key())
    note = "What the renewal first failed for, whatever was answered to later charges."
    title = "By first decline reason"
    show_groups(settings, view, colours, Dimension.CLASS, "reasons", title, note=note)
    show_tries(settings, view, colours)


def show_tries(settings: DashboardSettings, view: View, colours: Palette) -> None:
    tries = figures.read_tries(settings, view)
    bars = [make_try_bar(one) for one in tries]
    chosen = dict(view.only).get(Dimension.TRY)
    show_panel(
        Panel(
            "tries",
            "By try",
            draw_columns(bars, colours, PARTS, chosen) if bars else None,
            describe_tries(tries),
            list_try_rows(tries),
            Dimension.TRY,
            f"Try 1 is the failed charge itself. “{PARTS[-1]}” means Whop's own retries and "
            f"payments by the member. {NOT_IMPORTED}",
        )
    )


def make_try_bar(one: Try) -> Bar:
    paid = (one.paid_by_us, 0, 0, one.paid_otherwise)
    return Bar(str(one.number), f"Try {one.number}", one.made, paid)


def show_when(settings: DashboardSettings, view: View, colours: Palette) -> None:
    show_html(render_key([("failed", NOT_BACK), ("open", NEWER)]))
    curve = figures.read_curve(settings, view)
    show_panel(
        Panel(
            "time-to-recover",
            "Time to recover",
            draw_curve(curve, colours, PARTS) if curve.hours else None,
            describe_curve(curve),
            list_curve_rows(curve),
            note=f"The share of payments paid within this time. {NOT_IMPORTED}",
        )
    )
    columns = (
        (Dimension.MONTH, "months", "By month of failure"),
        (Dimension.WEEKDAY, "weekdays", "By weekday of failure"),
        (Dimension.HOUR, "hours", "By hour of failure"),
    )
    for dimension, name, title in columns:
        note = f"In your time zone, {view.time_zone.replace('_', ' ')}."
        show_groups(settings, view, colours, dimension, name, title, note)


def show_what(settings: DashboardSettings, view: View, colours: Palette) -> None:
    show_html(render_key())
    show_groups(settings, view, colours, Dimension.PRODUCT, "products", "By product")
    show_groups(settings, view, colours, Dimension.BRAND, "cards", "By card brand")


def show_messages(settings: DashboardSettings, view: View, colours: Palette) -> None:
    steps = figures.read_steps(settings, view)
    chosen = dict(view.only).get(Dimension.STEP)
    show_panel(
        Panel(
            "messages",
            "Message funnel",
            draw_steps(steps, colours, chosen) if steps else None,
            describe_steps(steps),
            list_step_rows(steps),
            Dimension.STEP,
            f"“{STAGES[-1]}” counts payments that the member made after the message had arrived "
            "and that we claim; a part of them would have come anyway. Some email apps hide that "
            "an email was opened, others report all of them as opened.",
        )
    )


def show_lift(settings: DashboardSettings, view: View, colours: Palette) -> None:
    lift = figures.read_lift(settings, view.company_id)
    baseline = figures.read_baseline(settings, view.company_id)
    pooled = figures.read_pooled(settings)
    known = lift if isinstance(lift, Lift) else None
    none = "Turn on a control group in Settings to measure our impact."
    show_panel(
        Panel(
            "our-impact",
            "Compared with Whop alone",
            draw_lift(known, colours) if known else None,
            " ".join(
                [
                    describe_lift(lift) if lift is not None else none,
                    *([describe_pooled(pooled, lift)] if pooled is not None else []),
                    describe_unneeded(lift),
                ]
            ),
            list_lift_rows(known, baseline),
            note="All time; each member counts once. The impact's interval holds however often you "
            "look. Filters and periods do not apply here.",
        )
    )
    st.header("Before you installed this", anchor=False)
    said = describe_baseline(baseline) if baseline else "No payments from before that are known."
    show_html(Markup('<p class="sentence">{}</p>').format(said))


SHOWN: dict[Part, Callable[[DashboardSettings, View, Palette], None]] = {
    Part.WHY: show_why,
    Part.WHEN: show_when,
    Part.WHAT: show_what,
    Part.MESSAGES: show_messages,
    Part.LIFT: show_lift,
}
