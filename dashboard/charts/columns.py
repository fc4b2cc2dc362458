"""Groups as columns: the failed payments wide and pale, the recovered ones in front. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from markupsafe import escape

from dashboard.charts.bars import (
    HOLLOW,
    NEWER,
    Bar,
    Layer,
    describe,
    describe_reach,
    is_small,
    list_layers,
    mark,
)
from dashboard.charts.frame import start
from dashboard.ui.palette import Palette
from recovery.wording import format_percent

WIDE, NARROW = 0.84, 0.5
# More columns than this, and only every third is named.
MANY = 12


def draw_columns(
    bars: Sequence[Bar],
    colours: Palette,
    names: Sequence[str],
    chosen: str | None = None,
    *,
    shares: bool = True,
) -> go.Figure:
    """Recovered payments are stacked by who recovered them."""
    figure = start(colours, height=280)
    failed = Layer("Failed", colours.failed, "")
    closed = [bar.closed for bar in bars]
    add_columns(figure, bars, closed, failed, WIDE, colours, chosen)
    base = [0] * len(bars)
    for number, layer in enumerate(list_layers(colours, names)):
        heights = [bar.parts[number] for bar in bars]
        add_columns(figure, bars, heights, layer, NARROW, colours, chosen, base)
        base = [one + other for one, other in zip(base, heights, strict=True)]
    if any(bar.newer for bar in bars):
        pending = Layer(NEWER, colours.surface, HOLLOW)
        heights = [bar.newer for bar in bars]
        add_columns(figure, bars, heights, pending, WIDE, colours, chosen, closed)
    figure.add_scatter(**describe_reach(bars, closed, colours, across=False))
    if shares:
        label_columns(figure, bars, colours)
    set_axes(figure, bars, colours)
    return figure


def set_axes(figure: go.Figure, bars: Sequence[Bar], colours: Palette) -> None:
    apart = 3 if len(bars) > MANY else 1
    figure.update_xaxes(
        tickvals=list(range(0, len(bars), apart)),
        ticktext=[escape(bar.name) for bar in bars[::apart]],
        fixedrange=True,
        showgrid=False,
        automargin=True,
    )
    figure.update_yaxes(
        gridcolor=colours.line,
        fixedrange=True,
        zeroline=False,
        nticks=5,
        tickformat=",d",
        automargin=True,
        rangemode="tozero",
    )


def add_columns(
    figure: go.Figure,
    bars: Sequence[Bar],
    heights: Sequence[int],
    layer: Layer,
    width: float,
    colours: Palette,
    chosen: str | None,
    base: Sequence[int] | None = None,
) -> None:
    figure.add_bar(
        x=list(range(len(bars))),
        y=list(heights),
        base=base,
        width=width,
        name=layer.name,
        marker=mark(layer, colours, bars, chosen),
        customdata=[[bar.key, describe(bar)] for bar in bars],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def label_columns(figure: go.Figure, bars: Sequence[Bar], colours: Palette) -> None:
    for place, bar in enumerate(bars):
        share = "" if is_small(bar) else format_percent(bar.recovered, bar.closed)
        figure.add_annotation(
            x=place,
            y=bar.closed + bar.newer,
            yshift=10,
            text=escape(share),
            showarrow=False,
            font={"color": colours.ink, "size": 12},
        )
