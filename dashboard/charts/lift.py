"""Our impact against Whop alone: two shares with their 95% intervals. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go
from markupsafe import Markup

from dashboard.charts.frame import start
from dashboard.ui.palette import Palette
from recovery.lift.comparison import Lift
from recovery.lift.groups import limit_proportion
from recovery.wording import format_share


@dataclass(frozen=True, slots=True)
class Share:
    name: str
    part: int
    whole: int
    colour: str
    symbol: str

    @property
    def rate(self) -> float:
        return self.part / self.whole


def draw_lift(lift: Lift, colours: Palette) -> go.Figure:
    ours, theirs = lift.treated, lift.held_out
    shares = (
        Share("With our help", ours.recovered, ours.members, colours.by_retry, "circle"),
        Share(
            "Control group, Whop alone", theirs.recovered, theirs.members, colours.muted, "diamond"
        ),
    )
    figure = start(colours, height=170)
    for row, one in enumerate(shares):
        add_interval(figure, row, one)
        label_share(figure, row, one, colours)
    figure.update_xaxes(
        range=[0, 100],
        ticksuffix="%",
        gridcolor=colours.line,
        fixedrange=True,
        zeroline=False,
        automargin=True,
    )
    figure.update_yaxes(visible=False, range=[1.5, -0.7], fixedrange=True)
    return figure


def add_interval(figure: go.Figure, row: int, one: Share) -> None:
    low, high = limit_proportion(one.part, one.whole)
    figure.add_scatter(
        x=[100 * one.rate],
        y=[row],
        mode="markers",
        name=one.name,
        marker={"color": one.colour, "size": 14, "symbol": one.symbol},
        error_x={
            "type": "data",
            "array": [100 * (high - one.rate)],
            "arrayminus": [100 * (one.rate - low)],
            "color": one.colour,
            "thickness": 3,
            "width": 8,
        },
        hovertemplate=Markup("{:.1f}% to {:.1f}%<extra></extra>").format(100 * low, 100 * high),
    )


def label_share(figure: go.Figure, row: int, one: Share, colours: Palette) -> None:
    figure.add_annotation(
        x=0,
        y=row - 0.36,
        xref="paper",
        xanchor="left",
        showarrow=False,
        text=Markup("{}: <b>{}</b>").format(one.name, format_share(one.part, one.whole)),
        font={"color": colours.ink, "size": 14},
    )
