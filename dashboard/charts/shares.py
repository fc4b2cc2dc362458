"""Groups as rows: the name above, the recovered share below. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from markupsafe import Markup, escape

from dashboard.charts.bars import (
    HOLLOW,
    NOT_BACK,
    Bar,
    Layer,
    describe,
    describe_reach,
    is_small,
    list_layers,
    mark,
    share,
)
from dashboard.charts.frame import start
from dashboard.ui.palette import Palette
from recovery.wording import format_share

# Pixels of one bar and the words above it.
ROW = 50
LONGEST_NAME = 40


def draw_shares(
    bars: Sequence[Bar], colours: Palette, names: Sequence[str], chosen: str | None = None
) -> go.Figure:
    """The bar of a small group is hollow: it shows no share, but can be clicked."""
    figure = start(colours, height=ROW * len(bars) + 8)
    base = [0.0] * len(bars)
    for number, layer in enumerate(list_layers(colours, names)):
        widths = [share(bar.parts[number], bar) for bar in bars]
        add_rows(figure, bars, widths, base, layer, colours, chosen)
        base = [one + other for one, other in zip(base, widths, strict=True)]
    add_rest(figure, bars, base, colours, chosen)
    figure.add_scatter(**describe_reach(bars, [1.0] * len(bars), colours, across=True))
    for row, bar in enumerate(bars):
        label_row(figure, row, bar, colours, bold=bar.key == chosen)
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[len(bars) - 0.5, -0.75], fixedrange=True)
    return figure


def add_rest(
    figure: go.Figure,
    bars: Sequence[Bar],
    base: Sequence[float],
    colours: Palette,
    chosen: str | None,
) -> None:
    """What did not come back, and the hollow bars of small groups."""
    rest = [0.0 if is_small(bar) else 1 - left for bar, left in zip(bars, base, strict=True)]
    failed = Layer(NOT_BACK, colours.failed, "")
    add_rows(figure, bars, rest, base, failed, colours, chosen)
    hollow = [1.0 if is_small(bar) else 0.0 for bar in bars]
    small = Layer("Too few for a share", colours.page, HOLLOW)
    add_rows(figure, bars, hollow, base, small, colours, chosen)


def add_rows(
    figure: go.Figure,
    bars: Sequence[Bar],
    widths: Sequence[float],
    base: Sequence[float],
    layer: Layer,
    colours: Palette,
    chosen: str | None,
) -> None:
    figure.add_bar(
        orientation="h",
        y=list(range(len(bars))),
        x=widths,
        base=base,
        width=0.32,
        name=layer.name,
        marker=mark(layer, colours, bars, chosen),
        customdata=[[bar.key, describe(bar)] for bar in bars],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def label_row(figure: go.Figure, row: int, bar: Bar, colours: Palette, *, bold: bool) -> None:
    for x, anchor, words, colour in (
        (0, "left", format_name(bar, bold), colours.ink),
        (1, "right", format_bar_share(bar), colours.muted if is_small(bar) else colours.ink),
    ):
        figure.add_annotation(
            x=x,
            y=row - 0.36,
            xref="paper",
            xanchor=anchor,
            yanchor="middle",
            showarrow=False,
            text=words,
            font={"color": colour, "size": 14},
        )


def format_name(bar: Bar, bold: bool) -> Markup:
    short = bar.name if len(bar.name) <= LONGEST_NAME else f"{bar.name[: LONGEST_NAME - 1]}…"
    return Markup("<b>✓ {}</b>").format(short) if bold else escape(short)


def format_bar_share(bar: Bar) -> Markup:
    return escape(format_share(bar.recovered, bar.closed))
