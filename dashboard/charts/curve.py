"""How fast payments are recovered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import plotly.graph_objects as go

from dashboard.charts.bars import list_layers, weave
from dashboard.charts.frame import start
from dashboard.data.insights import Curve
from dashboard.ui.palette import Palette
from db.reporting.insights import WINDOW_HOURS
from recovery.status import RecoveredBy
from recovery.wording import FEW

DAY = 24


def cumulate(curve: Curve) -> list[tuple[int, ...]]:
    """For each hour from 0 to 120: recoveries in less than that many hours, by who brought them."""
    found = {one.hour: one.by.parts for one in curve.hours}
    none = (0,) * len(RecoveredBy)
    steps = [found.get(hour, none) for hour in range(WINDOW_HOURS)]
    columns = [list(accumulate(column, initial=0)) for column in zip(*steps, strict=True)]
    return list(zip(*columns, strict=True))


def draw_curve(curve: Curve, colours: Palette, names: Sequence[str]) -> go.Figure:
    """Stacked areas; the upper edge is everything recovered by then. In percent of the payments
    with a final result, or in numbers where they are few."""
    figure = start(colours, height=320)
    percent = curve.watched >= FEW
    whole = curve.watched / 100 if percent else 1
    points = cumulate(curve)
    for number, layer in enumerate(list_layers(colours, names)):
        figure.add_scatter(
            x=list(range(len(points))),
            y=[point[number] / whole for point in points],
            name=layer.name,
            mode="lines",
            line={"color": layer.colour, "width": 2, "shape": "hv"},
            fillcolor=layer.colour,
            fillpattern=weave(layer, colours),
            stackgroup="recovered",
            customdata=[f"{point[number]:,}" for point in points],
            hovertemplate="%{customdata}",
        )
    figure.update_layout(hovermode="x unified")
    set_axes(figure, colours, percent)
    return figure


def set_axes(figure: go.Figure, colours: Palette, percent: bool) -> None:
    days = list(range(0, WINDOW_HOURS + 1, DAY))
    figure.update_xaxes(
        tickvals=days,
        ticktext=["0", "1 day", *(f"{day // DAY} days" for day in days[2:])],
        range=[0, WINDOW_HOURS],
        automargin=True,
        showgrid=False,
        fixedrange=True,
        spikecolor=colours.muted,
        spikethickness=1,
    )
    figure.update_yaxes(
        gridcolor=colours.line,
        fixedrange=True,
        zeroline=False,
        nticks=6,
        rangemode="tozero",
        ticksuffix="%" if percent else "",
        automargin=True,
    )
