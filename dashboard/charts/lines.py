"""The charts that are no bars of groups: the curve, the messages' steps, and what we add. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import plotly.graph_objects as go

from dashboard.charts.bars import Layer, list_layers, start, weave
from dashboard.data.insights import Curve
from dashboard.text.insights import FEW, name_step
from dashboard.ui.palette import Palette
from db.reporting.insights import WINDOW_HOURS, StepCount
from recovery.lift import Lift, limit_proportion
from recovery.status import Channel

STAGES = ("sent", "delivered", "opened", "clicked", "paid after")
DAY = 24
STAGE = 26
HEADING = 40
NAMES_WIDTH = 84


def cumulate(curve: Curve) -> list[tuple[int, int, int]]:
    """For each hour from 0 to 120: recoveries in less than that many hours, by who brought them."""
    found = {one.hour: (one.by_retry, one.by_member, one.without_us) for one in curve.hours}
    steps = [found.get(hour, (0, 0, 0)) for hour in range(WINDOW_HOURS)]
    columns = [list(accumulate(column, initial=0)) for column in zip(*steps, strict=True)]
    return list(zip(*columns, strict=True))


def draw_curve(curve: Curve, colours: Palette, names: Sequence[str]) -> go.Figure:
    """Areas on one another; the upper edge is all that came back by then. In percent of the closed
    payments, or by number where they are few."""
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
    days = list(range(0, WINDOW_HOURS + 1, DAY))
    figure.update_layout(hovermode="x unified")
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
    return figure


def draw_steps(
    steps: Sequence[StepCount], colours: Palette, chosen: str | None = None
) -> go.Figure:
    """A block for each step and channel, and in it how far its messages came."""
    blocks = [(one, list_stages(one)) for one in steps]
    height = sum(HEADING + STAGE * len(stages) for _, stages in blocks)
    figure = start(colours, height=height + 24)
    most = max((one.sent for one in steps), default=1)
    at = 0
    for one, stages in blocks:
        figure.add_annotation(
            x=0,
            y=at + HEADING / 2,
            xref="paper",
            xanchor="left",
            showarrow=False,
            xshift=-NAMES_WIDTH,
            text=f"<b>{'✓ ' if one.step == chosen else ''}{name_step(one)}</b>",
            font={"color": colours.ink, "size": 14},
        )
        at += HEADING
        add_stages(figure, one, stages, at, colours, chosen)
        at += STAGE * len(stages)
    figure.update_layout(margin={"l": NAMES_WIDTH})
    figure.update_xaxes(visible=False, range=[0, 1.15 * most], fixedrange=True)
    figure.update_yaxes(visible=False, range=[max(at, 1), 0], fixedrange=True)
    return figure


def list_stages(one: StepCount) -> list[tuple[str, int]]:
    """Nobody tells whether a chat message was opened."""
    numbers = (one.sent, one.delivered, one.opened, one.clicked, one.paid)
    stages = list(zip(STAGES, numbers, strict=True))
    return stages if one.channel == Channel.EMAIL else [stages[0], stages[-1]]


def add_stages(
    figure: go.Figure,
    one: StepCount,
    stages: Sequence[tuple[str, int]],
    top: int,
    colours: Palette,
    chosen: str | None,
) -> None:
    places = [top + STAGE * (number + 0.5) for number in range(len(stages))]
    tones = [colours.by_member if name == STAGES[-1] else colours.without_us for name, _ in stages]
    shapes = ["/" if name == STAGES[-1] else "" for name, _ in stages]
    said = [
        number if n == 0 or one.sent < FEW else f"{number:,}  {number / one.sent:.0%}"
        for n, (_, number) in enumerate(stages)
    ]
    figure.add_bar(
        orientation="h",
        y=places,
        x=[number for _, number in stages],
        width=STAGE * 0.6,
        text=[f"{words}" for words in said],
        textposition="outside",
        cliponaxis=False,
        textfont={"color": colours.ink},
        marker={
            "color": tones,
            "opacity": 1.0 if chosen in (None, one.step) else 0.35,
            "line": {"width": 0},
            "pattern": {
                "shape": shapes,
                "fgcolor": colours.page,
                "bgcolor": tones,
                "size": 6,
                "solidity": 0.3,
            },
        },
        customdata=[[one.step, name] for name, _ in stages],
        hovertemplate="%{x:,} %{customdata[1]}<extra></extra>",
    )
    for place, (name, _) in zip(places, stages, strict=True):
        figure.add_annotation(
            x=0,
            y=place,
            xanchor="right",
            xshift=-8,
            showarrow=False,
            text=name,
            font={"color": colours.muted, "size": 13},
        )


@dataclass(frozen=True, slots=True)
class Share:
    name: str
    part: int
    whole: int


def draw_lift(lift: Lift, colours: Palette) -> go.Figure:
    """Two shares, each with where it lies with 95 % confidence."""
    shares = [
        Share("We work on it", lift.treated.recovered, lift.treated.members),
        Share("Left to Whop alone", lift.held_out.recovered, lift.held_out.members),
    ]
    figure = start(colours, height=170)
    layers = (Layer("ours", colours.by_retry, "circle"), Layer("whop", colours.muted, "diamond"))
    for row, (one, layer) in enumerate(zip(shares, layers, strict=True)):
        rate = one.part / one.whole
        low, high = limit_proportion(one.part, one.whole)
        figure.add_scatter(
            x=[100 * rate],
            y=[row],
            mode="markers",
            name=one.name,
            marker={"color": layer.colour, "size": 14, "symbol": layer.pattern},
            error_x={
                "type": "data",
                "array": [100 * (high - rate)],
                "arrayminus": [100 * (rate - low)],
                "color": layer.colour,
                "thickness": 3,
                "width": 8,
            },
            hovertemplate=f"{100 * low:.1f}% to {100 * high:.1f}%<extra></extra>",
        )
        figure.add_annotation(
            x=0,
            y=row - 0.36,
            xref="paper",
            xanchor="left",
            showarrow=False,
            text=f"{one.name}: <b>{rate:.1%}</b>  {one.part:,} of {one.whole:,} members",
            font={"color": colours.ink, "size": 14},
        )
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
