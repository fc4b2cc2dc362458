"""The one palette: the chart reads it directly, style.css as custom properties."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

INK = "#0F172A"
MUTED = "#64748B"
LINE = "#E2E8F0"
FAILED = "#CBD5E1"
# Who brought the money, from dark to light: the order can be told without seeing any colour.
BY_RETRY = "#0F766E"
BY_MEMBER = "#D97706"
WITHOUT_US = "#5EBFB2"

STYLE = Path(__file__).parent / "style.css"


def render_style() -> str:
    colours = {
        "ink": INK,
        "muted": MUTED,
        "line": LINE,
        "failed": FAILED,
        "by-retry": BY_RETRY,
        "by-member": BY_MEMBER,
        "without-us": WITHOUT_US,
    }
    properties = "".join(f"--{name}:{value};" for name, value in colours.items())
    return f"<style>:root{{{properties}}}\n{STYLE.read_text()}</style>"


@dataclass(frozen=True, slots=True)
class Palette:
    """What charts are drawn with, by day and by night."""

    page: str
    surface: str
    line: str
    ink: str
    muted: str
    by_retry: str
    by_member: str
    without_us: str
    failed: str


LIGHT = Palette(
    page="#FFFFFF",
    surface="#F8FAFC",
    line=LINE,
    ink=INK,
    muted=MUTED,
    by_retry=BY_RETRY,
    by_member=BY_MEMBER,
    without_us=WITHOUT_US,
    failed=FAILED,
)
DARK = Palette(
    page="#0B1220",
    surface="#131C2E",
    line="#27344A",
    ink="#F1F5F9",
    muted="#9AA9BF",
    by_retry="#5EEAD4",
    by_member="#F59E0B",
    without_us="#2A8C82",
    failed="#334155",
)


def choose(theme: str | None) -> Palette:
    """By what `st.context.theme.type` says; charts cannot follow the page's own colours."""
    return DARK if theme == "dark" else LIGHT
