"""The one palette: the chart reads it directly, style.css as custom properties."""

from __future__ import annotations

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
