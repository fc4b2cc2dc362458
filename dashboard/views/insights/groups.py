"""One chart of groups: by reason, by time, by product or by card."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.bars import Bar
from dashboard.charts.columns import draw_columns
from dashboard.charts.shares import draw_shares
from dashboard.charts.tables import list_group_rows
from dashboard.data import insights as figures
from dashboard.data.insights import View
from dashboard.settings import DashboardSettings
from dashboard.text.groups import name_group
from dashboard.text.insights import compare, describe_extremes, describe_newer
from dashboard.ui.palette import Palette
from dashboard.views.insights.panels import PARTS, Panel, show_panel
from db.reporting.chance import Estimate
from db.reporting.cohorts import Dimension
from db.reporting.groups import Group
from recovery.wording import count

MOST_ROWS = 10
LIKELY = (
    "Thin lines: where a group's share likely lies (95%), drawn towards the share of all where the "
    "group is small."
)
UPRIGHT = (Dimension.MONTH, Dimension.WEEKDAY, Dimension.HOUR)


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
    shown = groups if dimension in UPRIGHT else groups[:MOST_ROWS]
    left = len(groups) - len(shown)
    more = f" {count(left, 'smaller group')} in the CSV only." if left else ""
    show_panel(
        Panel(
            name,
            title,
            draw_groups(groups, len(shown), dimension, colours, dict(view.only).get(dimension)),
            describe_extremes(groups, dimension),
            list_group_rows(groups, dimension),
            dimension,
            f"{note} {LIKELY}{more}".strip(),
        )
    )


def draw_groups(
    groups: Sequence[Group], shown: int, dimension: Dimension, colours: Palette, chosen: str | None
) -> go.Figure | None:
    """The first so many of them, each compared with all."""
    likely = compare(groups)
    bars = [make_bar(*one, dimension) for one in zip(groups, likely, strict=True)][:shown]
    if not bars:
        return None
    if dimension not in UPRIGHT:
        return draw_shares(bars, colours, PARTS, chosen)
    shares = dimension is not Dimension.HOUR
    return draw_columns(bars, colours, PARTS, chosen, shares=shares)


def arrange(groups: Sequence[Group], dimension: Dimension) -> list[Group]:
    """Times in their own order, everything else by size."""
    if dimension in (Dimension.HOUR, Dimension.WEEKDAY):
        return sorted(groups, key=lambda group: int(group.key))
    if dimension is Dimension.MONTH:
        return list(groups)
    return sorted(groups, key=lambda group: (-group.closed, -group.newer, group.key))


def make_bar(group: Group, likely: Estimate | None, dimension: Dimension) -> Bar:
    name = name_group(dimension, group.key)
    if dimension is Dimension.WEEKDAY:
        name = name[:3]
    return Bar(
        group.key, name, group.closed, group.by.parts, group.newer, describe_newer(group), likely
    )
