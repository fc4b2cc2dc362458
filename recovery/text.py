"""Makes text that others typed safe to show in one line."""

from __future__ import annotations

import re
import unicodedata

# Characters of a person's, a company's or a product's name.
LONGEST_NAME = 80
# What Postgres cannot store: NUL and halves of surrogate pairs.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Invisible, but emoji and several scripts need these two.
JOINERS = "\u200c\u200d"
HIDDEN = frozenset({"Cc", "Cf", "Cs"})
BREAKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")


def is_hidden(character: str) -> bool:
    """Whether it is invisible or changes how its neighbours look: control characters, direction
    marks, zero-width spaces, lone surrogates."""
    return unicodedata.category(character) in HIDDEN and character not in JOINERS


def find_hidden(text: str, allowed: str = "") -> str | None:
    """The first hidden character, such as U+202E. None: there is none."""
    for character in text:
        if (is_hidden(character) or character in BREAKS) and character not in allowed:
            return f"U+{ord(character):04X}"
    return None


def make_plain(text: str, longest: int) -> str:
    """One line without hidden characters, at most `longest` long; empty if nothing is left to
    see."""
    spaced = "".join(" " if c in BREAKS else c for c in text)
    line = " ".join("".join(c for c in spaced if not is_hidden(c)).split())
    if not line.strip(JOINERS + " "):
        return ""
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
