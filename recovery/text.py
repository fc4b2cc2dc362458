"""Text that others typed, made fit to stand in a line of ours."""

from __future__ import annotations

import unicodedata

# Of a person, a company or a product, where it stands in a line of ours.
LONGEST_NAME = 80
# Emoji and several scripts are written with these two, invisible as they are.
JOINERS = "\u200c\u200d"
HIDDEN = frozenset({"Cc", "Cf", "Cs"})
BREAKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")


def is_hidden(character: str) -> bool:
    """Not seen, or changes how its neighbours are seen: control characters, marks that turn the
    direction of reading, zero-width spaces, halves of characters."""
    return unicodedata.category(character) in HIDDEN and character not in JOINERS


def find_hidden(text: str, allowed: str = "") -> str | None:
    """The first one's name, such as U+202E."""
    for character in text:
        if (is_hidden(character) or character in BREAKS) and character not in allowed:
            return f"U+{ord(character):04X}"
    return None


def make_plain(text: str, longest: int) -> str:
    """One line without hidden characters, cut to a sane length."""
    spaced = "".join(" " if c in BREAKS else c for c in text)
    line = " ".join("".join(c for c in spaced if not is_hidden(c)).split())
    if not line.strip(JOINERS + " "):
        return ""
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
