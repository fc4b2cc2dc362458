"""Counts in, figure out. Pure. Who brought the money is told by colour and by pattern.

A bar's `customdata` begins with the key of its group: a click on it narrows the other charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from dashboard.charts.money import FONT
from dashboard.text.insights import FEW
from dashboard.ui.palette import Palette

ROW = 50
"""Pixels of one bar and the words above it."""
FADED = 0.35
HOLLOW = "x"
NOT_BACK = "Not recovered"
STILL_OPEN = "May still be paid"


@dataclass(frozen=True, slots=True)
class Bar:
    """A group as drawn: how many closed, and who brought what came back of them."""

    key: str
    name: str
    closed: int
    by_retry: int
    by_member: int
    without_us: int
    open: int = 0

    @property
    def recovered(self) -> int:
        return self.by_retry + self.by_member + self.without_us

    @property
    def parts(self) -> tuple[int, int, int]:
        return self.by_retry, self.by_member, self.without_us


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    colour: str
    pattern: str


def list_layers(colours: Palette, names: Sequence[str]) -> list[Layer]:
    """Solid, hatched, dotted: told apart without seeing any colour."""
    tones = ((colours.by_retry, ""), (colours.by_member, "/"), (colours.without_us, "."))
    return [Layer(name, *tone) for name, tone in zip(names, tones, strict=True)]


def draw_shares(
    bars: Sequence[Bar], colours: Palette, names: Sequence[str], chosen: str | None = None
) -> go.Figure:
    """One row each: words above, below them the share that came back. Small groups have words only:
    their bar is hollow, and there to be clicked."""
    figure = start(colours, height=ROW * len(bars) + 8)
    rows = list(range(len(bars)))
    base = [0.0] * len(bars)
    for number, layer in enumerate(list_layers(colours, names)):
        widths = [share(bar.parts[number], bar) for bar in bars]
        add_rows(figure, rows, widths, base, layer, colours, bars, chosen)
        base = [one + other for one, other in zip(base, widths, strict=True)]
    rest = [
        0.0 if is_small(bar) else 1 - start_at for bar, start_at in zip(bars, base, strict=True)
    ]
    add_rows(figure, rows, rest, base, Layer(NOT_BACK, colours.failed, ""), colours, bars, chosen)
    hollow = [1.0 if is_small(bar) else 0.0 for bar in bars]
    small = Layer("Too few for a share", colours.page, HOLLOW)
    add_rows(figure, rows, hollow, base, small, colours, bars, chosen)
    for row, bar in enumerate(bars):
        label_row(figure, row, bar, colours, bold=bar.key == chosen)
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[len(bars) - 0.5, -0.75], fixedrange=True)
    return figure


def is_small(bar: Bar) -> bool:
    return bar.closed < FEW


def share(part: int, bar: Bar) -> float:
    return 0.0 if is_small(bar) else part / bar.closed


def add_rows(
    figure: go.Figure,
    rows: Sequence[int],
    widths: Sequence[float],
    base: Sequence[float],
    layer: Layer,
    colours: Palette,
    bars: Sequence[Bar],
    chosen: str | None,
) -> None:
    figure.add_bar(
        orientation="h",
        y=rows,
        x=widths,
        base=base,
        width=0.32,
        name=layer.name,
        marker=mark(layer, colours, bars, chosen),
        customdata=[[bar.key, describe(bar)] for bar in bars],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def mark(
    layer: Layer, colours: Palette, bars: Sequence[Bar], chosen: str | None
) -> dict[str, object]:
    faded = [FADED if chosen is not None and bar.key != chosen else 1.0 for bar in bars]
    return {
        "color": layer.colour,
        "opacity": faded,
        "line": {"width": 0},
        "pattern": weave(layer, colours),
    }


def weave(layer: Layer, colours: Palette) -> dict[str, object]:
    """The lines of what is hollow show, those of what came back let the page through."""
    hollow = layer.pattern == HOLLOW
    return {
        "shape": layer.pattern,
        "bgcolor": layer.colour,
        "fgcolor": colours.line if hollow else colours.page,
        "size": 6,
        "solidity": 0.3,
    }


def plain(words: str) -> str:
    """Plotly reads tags in its texts, but knows no quotes written out."""
    return escape(words, quote=False)


def describe(bar: Bar) -> str:
    said = f"<b>{plain(bar.name)}</b><br>{bar.recovered:,} of {bar.closed:,} recovered"
    still = f"<br>{bar.open:,} may still be paid" if bar.open else ""
    return said + still


def label_row(figure: go.Figure, row: int, bar: Bar, colours: Palette, *, bold: bool) -> None:
    name = plain(bar.name if len(bar.name) <= 40 else f"{bar.name[:39]}…")
    numbers = f"{bar.recovered:,} of {bar.closed:,}"
    told = numbers if is_small(bar) else f"<b>{bar.recovered / bar.closed:.0%}</b>  {numbers}"
    for x, anchor, words, colour in (
        (0, "left", f"<b>✓ {name}</b>" if bold else name, colours.ink),
        (1, "right", told, colours.ink if not is_small(bar) else colours.muted),
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


def draw_columns(
    bars: Sequence[Bar],
    colours: Palette,
    names: Sequence[str],
    chosen: str | None = None,
    *,
    shares: bool = True,
) -> go.Figure:
    """All that failed stands behind, wide and pale; before it what came back, by who brought it."""
    figure = start(colours, height=280)
    places = list(range(len(bars)))
    add_columns(
        figure,
        bars,
        [bar.closed for bar in bars],
        Layer("Failed", colours.failed, ""),
        0.84,
        colours,
        chosen,
    )
    base = [0] * len(bars)
    for number, layer in enumerate(list_layers(colours, names)):
        heights = [bar.parts[number] for bar in bars]
        add_columns(figure, bars, heights, layer, 0.5, colours, chosen, base)
        base = [one + other for one, other in zip(base, heights, strict=True)]
    if any(bar.open for bar in bars):
        pending = Layer(STILL_OPEN, colours.surface, HOLLOW)
        heights, closed = [bar.open for bar in bars], [bar.closed for bar in bars]
        add_columns(figure, bars, heights, pending, 0.84, colours, chosen, closed)
    if shares:
        label_columns(figure, bars, colours)
    apart = 3 if len(bars) > 12 else 1
    names_shown = [plain(bar.name) for bar in bars[::apart]]
    figure.update_xaxes(
        tickvals=places[::apart],
        ticktext=names_shown,
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
    return figure


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
        told = f"{bar.recovered / bar.closed:.0%}" if not is_small(bar) else ""
        figure.add_annotation(
            x=place,
            y=bar.closed + bar.open,
            yshift=10,
            text=told,
            showarrow=False,
            font={"color": colours.ink, "size": 12},
        )


def start(colours: Palette, height: int) -> go.Figure:
    return go.Figure(
        layout={
            "barmode": "overlay",
            "height": height,
            "margin": {"l": 0, "r": 0, "t": 24, "b": 0},
            "paper_bgcolor": colours.page,
            "plot_bgcolor": colours.page,
            "font": {"family": FONT, "size": 13, "color": colours.muted},
            "hoverlabel": {
                "bgcolor": colours.surface,
                "bordercolor": colours.line,
                "font": {"color": colours.ink},
            },
            "showlegend": False,
            "dragmode": False,
            "clickmode": "event+select",
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": colours.muted,
                "activecolor": colours.ink,
            },
        }
    )
