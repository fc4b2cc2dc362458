"""Why payments fail, what brings them back, and when. A click on a group narrows all charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import streamlit as st

from dashboard.charts.bars import NOT_BACK, STILL_OPEN, Bar, draw_columns, draw_shares
from dashboard.charts.lines import draw_curve, draw_lift, draw_steps
from dashboard.charts.tables import (
    list_curve_rows,
    list_group_rows,
    list_step_rows,
    list_try_rows,
    list_worth_rows,
)
from dashboard.data import insights as figures
from dashboard.data.database import Trouble, for_company
from dashboard.data.insights import NothingToShowError, Span, View, Whose, find_whose
from dashboard.settings import DashboardSettings
from dashboard.text.insights import (
    describe_best,
    describe_curve,
    describe_steps,
    describe_tries,
    describe_whole,
    name_group,
)
from dashboard.text.payments import describe_baseline, describe_lift
from dashboard.ui import banners as notices
from dashboard.ui.insight_style import STYLE
from dashboard.ui.palette import Palette
from dashboard.ui.palette import choose as choose_palette
from dashboard.views.insights.panels import (
    PARTS,
    Panel,
    read_choices,
    render_key,
    show_chips,
    show_panel,
)
from db.reporting.cohorts import Dimension
from db.reporting.insights import Group, Try
from recovery.lift import Lift

MOST_ROWS = 10


class Part(StrEnum):
    """Only the one that is looked at is computed. The value stands in the page's address."""

    WHY = "Reasons and tries"
    WHEN = "Time"
    WHAT = "Products and cards"
    MESSAGES = "Messages"
    WORTH = "What we add"


def show(settings: DashboardSettings) -> None:
    st.html(STYLE)
    st.title("Insights", anchor=False)
    refresh(settings)


@st.fragment(run_every=notices.REFRESH)
def refresh(settings: DashboardSettings) -> None:
    """Often, to see a database that is back; the figures themselves are kept for five minutes."""
    whose = for_company(settings, find_whose)
    try:
        if isinstance(whose, Trouble):
            raise NothingToShowError(whose)
        show_figures(settings, whose)
    except NothingToShowError as error:
        notices.show_trouble(error.trouble)


def show_figures(settings: DashboardSettings, whose: Whose) -> None:
    span = Span(pick("Failed within", "span", list(Span), Span.QUARTER))
    part = Part(pick("Show", "part", list(Part), Part.WHY))
    view = View(whose.company_id, whose.time_zone, span, read_choices())
    whole = figures.read_whole(settings, view)
    st.html(f'<p class="lead">{describe_whole(whole, span.value)}</p>')
    if part is not Part.WORTH:
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


def show_why(settings: DashboardSettings, view: View, colours: Palette) -> None:
    st.html(render_key())
    show_groups(
        settings,
        view,
        colours,
        Dimension.CLASS,
        "reasons",
        "By decline reason",
        note="Payments that failed since the set-up: of older ones Whop no longer says why.",
    )
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
            "Try 1 is the failed charge itself. “Without us” are later charges of Whop's and "
            "payments by the member. Since the set-up.",
        )
    )


def make_try_bar(one: Try) -> Bar:
    return Bar(
        str(one.number), f"Try {one.number}", one.made, one.paid_by_us, 0, one.paid_otherwise
    )


def show_when(settings: DashboardSettings, view: View, colours: Palette) -> None:
    st.html(render_key([("failed", NOT_BACK), ("open", STILL_OPEN)]))
    curve = figures.read_curve(settings, view)
    show_panel(
        Panel(
            "time-to-recover",
            "Time to recover",
            draw_curve(curve, colours, PARTS) if curve.hours else None,
            describe_curve(curve),
            list_curve_rows(curve),
            note="Share of payments paid so many days after their failure. Since the set-up.",
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
    st.html(render_key())
    show_groups(settings, view, colours, Dimension.PRODUCT, "products", "By product")
    show_groups(settings, view, colours, Dimension.BRAND, "cards", "By card brand")


def show_groups(
    settings: DashboardSettings,
    view: View,
    colours: Palette,
    dimension: Dimension,
    name: str,
    title: str,
    note: str = "",
) -> None:
    groups = arrange(figures.read_groups(settings, view, dimension), dimension)
    upright = dimension in (Dimension.MONTH, Dimension.WEEKDAY, Dimension.HOUR)
    shown = groups if upright else groups[:MOST_ROWS]
    bars = [make_bar(group, dimension) for group in shown]
    chosen = dict(view.only).get(dimension)
    figure = None
    if bars and upright:
        shares = dimension is not Dimension.HOUR
        figure = draw_columns(bars, colours, PARTS, chosen, shares=shares)
    elif bars:
        figure = draw_shares(bars, colours, PARTS, chosen)
    left = len(groups) - len(shown)
    more = f" {left} smaller ones are in the CSV." if left else ""
    show_panel(
        Panel(
            name,
            title,
            figure,
            describe_best(groups, dimension),
            list_group_rows(groups, dimension),
            dimension,
            f"{note}{more}".strip(),
        )
    )


def arrange(groups: Sequence[Group], dimension: Dimension) -> list[Group]:
    """Times in their order; everything else by size."""
    if dimension in (Dimension.HOUR, Dimension.WEEKDAY):
        return sorted(groups, key=lambda group: int(group.key))
    if dimension is Dimension.MONTH:
        return list(groups)
    return sorted(groups, key=lambda group: (-group.closed, -group.open, group.key))


def make_bar(group: Group, dimension: Dimension) -> Bar:
    name = name_group(dimension, group.key)
    if dimension is Dimension.WEEKDAY:
        name = name[:3]
    parts = (group.by_retry, group.by_member, group.without_us)
    return Bar(group.key, name, group.closed, *parts, group.open)


def show_messages(settings: DashboardSettings, view: View, colours: Palette) -> None:
    steps = figures.read_steps(settings, view)
    chosen = dict(view.only).get(Dimension.STEP)
    show_panel(
        Panel(
            "messages",
            "How far messages come",
            draw_steps(steps, colours, chosen) if steps else None,
            describe_steps(steps),
            list_step_rows(steps),
            Dimension.STEP,
            "“Paid after” counts payments made after the message was sent, whoever made them. "
            "Some mail programs hide that a mail was opened, others open it by themselves.",
        )
    )


def show_worth(settings: DashboardSettings, view: View, colours: Palette) -> None:
    lift = figures.read_lift(settings, view.company_id)
    baseline = figures.read_baseline(settings, view.company_id)
    known = lift if isinstance(lift, Lift) else None
    none = "No member is left to Whop alone: without that, nobody can tell what our work adds."
    show_panel(
        Panel(
            "what-we-add",
            "Over Whop alone",
            draw_lift(known, colours) if known else None,
            describe_lift(lift) if lift is not None else none,
            list_worth_rows(known, baseline),
            note="All time, each member once; the lines are 95% intervals. No choice narrows it.",
        )
    )
    st.header("Before the set-up", anchor=False)
    said = (
        describe_baseline(baseline) if baseline else "No history from before the set-up is known."
    )
    st.html(f'<p class="sentence">{said}</p>')


SHOWN: dict[Part, Callable[[DashboardSettings, View, Palette], None]] = {
    Part.WHY: show_why,
    Part.WHEN: show_when,
    Part.WHAT: show_what,
    Part.MESSAGES: show_messages,
    Part.WORTH: show_worth,
}
