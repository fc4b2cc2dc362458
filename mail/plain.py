"""What people call themselves and their products, made fit to stand in a line of ours."""

from __future__ import annotations

import re

LONGEST = 80
# Control characters, and those that turn the direction of what follows.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def write_line(text: str, most: int = LONGEST) -> str:
    """On one line and of a length that leaves room for the rest."""
    line = " ".join(UNSEEN.sub(" ", text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
