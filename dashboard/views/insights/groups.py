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
from dashboard.text.insights import describe_best, describe_newer
from dashboard.ui.palette import Palette
from dashboard.views.insights.panels import PARTS, Panel, show_panel
from db.reporting.cohorts import Dimension
from db.reporting.groups import Group
from recovery.wording import count

MOST_ROWS = 10
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
            draw_groups(shown, dimension, colours, dict(view.only).get(dimension)),
            describe_best(groups, dimension),
            list_group_rows(groups, dimension),
            dimension,
            f"{note}{more}".strip(),
        )
    )


def draw_groups(
    groups: Sequence[Group], dimension: Dimension, colours: Palette, chosen: str | None
) -> go.Figure | None:
    bars = [make_bar(group, dimension) for group in groups]
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


def make_bar(group: Group, dimension: Dimension) -> Bar:
    name = name_group(dimension, group.key)
    if dimension is Dimension.WEEKDAY:
        name = name[:3]
    parts = (group.by_retry, group.by_member, group.without_us)
    return Bar(group.key, name, group.closed, *parts, group.newer, describe_newer(group))
