"""Colours that can be read on each other, by WCAG's definition of contrast."""

from __future__ import annotations

# What the words stand on, by day and by night; emails/layout.html uses the same.
SHEET, DARK_SHEET = "#ffffff", "#1c1c21"
GREY = "#8a8a94"
READABLE = 4.5
VISIBLE = 1.5


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    darker, lighter = sorted((measure_light(one), measure_light(other)))
    return (lighter + 0.05) / (darker + 0.05)


def measure_light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def choose_ink(ground: str) -> str:
    """White where it can be read, else black: one of the two always can (at least 4.58)."""
    return "#ffffff" if contrast("#ffffff", ground) >= READABLE else "#000000"


def choose_edge(ground: str) -> str:
    """A button in the colour of the sheet would be words without a button: it gets a grey edge."""
    seen = min(contrast(ground, SHEET), contrast(ground, DARK_SHEET))
    return ground if seen >= VISIBLE else GREY
