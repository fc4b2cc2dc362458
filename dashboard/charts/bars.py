"""A group's counts as a bar. Pure. Colour and pattern both show who recovered the payments.

A bar's `customdata` begins with the key of its group: a click on it narrows the other charts.
Plotly reads tags in its texts, so they are Markup too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dashboard.text.groups import format_range
from dashboard.ui.palette import Palette
from db.reporting.chance import Estimate
from recovery.labels import STATUSES
from recovery.status import PaymentStatus, RecoveredBy
from recovery.wording import FEW

FADED = 0.35
HOLLOW = "x"
# Solid, lined, hatched, dotted: distinct without any colour.
PATTERNS = {
    RecoveredBy.RETRY: "",
    RecoveredBy.CLICK: "-",
    RecoveredBy.MEMBER: "/",
    RecoveredBy.WITHOUT_US: ".",
}
NOT_BACK = STATUSES[PaymentStatus.PERMANENT_FAIL]
NEWER = "Failed in the last five days"


@dataclass(frozen=True, slots=True)
class Bar:
    """`closed`: payments with a final result; `newer`: those that failed in the last five days, and
    `newer_words`: what has become of them so far. `parts`: recovered, in the order of
    RecoveredBy. `likely`: the group's share, beside those that it is compared with."""

    key: str
    name: str
    closed: int
    parts: tuple[int, ...]
    newer: int = 0
    newer_words: str = ""
    likely: Estimate | None = None

    @property
    def recovered(self) -> int:
        return sum(self.parts)


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    colour: str
    pattern: str


def list_layers(colours: Palette, names: Sequence[str]) -> list[Layer]:
    return [
        Layer(name, colours.of(by), PATTERNS[by])
        for name, by in zip(names, RecoveredBy, strict=True)
    ]


def is_small(bar: Bar) -> bool:
    return bar.closed < FEW


def share(part: int, bar: Bar) -> float:
    return 0.0 if is_small(bar) else part / bar.closed


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
    """A hollow bar shows its lines; in other bars the page shines through them."""
    hollow = layer.pattern == HOLLOW
    return {
        "shape": layer.pattern,
        "bgcolor": layer.colour,
        "fgcolor": colours.line if hollow else colours.page,
        "size": 6,
        "solidity": 0.3,
    }


def describe(bar: Bar) -> Markup:
    said = Markup("<b>{}</b><br>{:,} of {:,} recovered").format(bar.name, bar.recovered, bar.closed)
    if bar.likely is not None and not is_small(bar):
        said += Markup("<br>Likely {}").format(format_range(bar.likely))
    newer = Markup("<br>{}: {:,} ({})").format(NEWER, bar.newer, bar.newer_words)
    return said + newer if bar.newer else said


def describe_reach(
    bars: Sequence[Bar], wholes: Sequence[float], colours: Palette, *, across: bool
) -> dict[str, Any]:
    """A trace of thin lines over the bars: where each share likely lies, of these wholes. `across`:
    bars lie down."""
    found = [
        (place, bar.likely, whole)
        for place, (bar, whole) in enumerate(zip(bars, wholes, strict=True))
        if bar.likely is not None and not is_small(bar)
    ]
    lines = {
        "type": "data",
        "symmetric": False,
        "array": [(one.high - one.share) * whole for _, one, whole in found],
        "arrayminus": [(one.share - one.low) * whole for _, one, whole in found],
        "color": colours.ink,
        "thickness": 1,
        "width": 3,
    }
    value, place = ("x", "y") if across else ("y", "x")
    return {
        value: [one.share * whole for _, one, whole in found],
        place: [number for number, _, _ in found],
        f"error_{value}": lines,
        "mode": "markers",
        "marker": {"size": 1, "color": colours.ink},
        "customdata": [],
        "hoverinfo": "skip",
    }
