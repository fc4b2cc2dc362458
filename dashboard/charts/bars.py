"""A group's counts as a bar. Pure. Colour and pattern both show who recovered the payments.

A bar's `customdata` begins with the key of its group: a click on it narrows the other charts.
Plotly reads tags in its texts, so they are Markup too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dashboard.ui.palette import Palette
from recovery.labels import STATUSES
from recovery.status import PaymentStatus
from recovery.wording import FEW

FADED = 0.35
HOLLOW = "x"
NOT_BACK = STATUSES[PaymentStatus.PERMANENT_FAIL]
NEWER = "Failed in the last five days"


@dataclass(frozen=True, slots=True)
class Bar:
    """`closed`: payments with a final result; `newer`: those that failed in the last five days, and
    `newer_words`: what has become of them so far."""

    key: str
    name: str
    closed: int
    by_retry: int
    by_member: int
    without_us: int
    newer: int = 0
    newer_words: str = ""

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
    """Solid, hatched, dotted: distinct without any colour."""
    tones = ((colours.by_retry, ""), (colours.by_member, "/"), (colours.without_us, "."))
    return [Layer(name, *tone) for name, tone in zip(names, tones, strict=True)]


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
    newer = Markup("<br>{}: {:,} ({})").format(NEWER, bar.newer, bar.newer_words)
    return said + newer if bar.newer else said
