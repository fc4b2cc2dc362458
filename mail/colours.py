"""Chooses readable colours by WCAG's definition of contrast."""

from __future__ import annotations

# Background colours of emails in light and dark mode, the same as in emails/layout.html.
SHEET, DARK_SHEET = "#ffffff", "#1c1c21"
GREY = "#8a8a94"
READABLE = 4.5
VISIBLE = 1.5


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio: from 1 (the same colour) to 21 (black on white)."""
    darker, lighter = sorted((measure_light(one), measure_light(other)))
    return (lighter + 0.05) / (darker + 0.05)


def measure_light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def choose_ink(ground: str) -> str:
    """White if it is readable on `ground`, else black. One of them always is (at least 4.58)."""
    return "#ffffff" if contrast("#ffffff", ground) >= READABLE else "#000000"


def choose_edge(ground: str) -> str:
    """Grey if the button would not stand out from the background, else its own colour."""
    seen = min(contrast(ground, SHEET), contrast(ground, DARK_SHEET))
    return ground if seen >= VISIBLE else GREY
