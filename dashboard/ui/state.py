"""A payment's state, never told by its colour alone."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup

from dashboard.text.state import State, Tone

# Beside every word, so that no state is told by its colour alone.
MARKS = {Tone.GOOD: "✓", Tone.WORKING: "↻", Tone.WAITING: "…", Tone.OVER: "×"}  # noqa: RUF001
STATE = Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>')
BELOW = Markup('<span class="below">{}</span>')


@lru_cache(maxsize=1024)
def render_state(state: State) -> Markup:
    """Cached: few states differ, and every row of every refresh has one."""
    below = BELOW.format(state.detail) if state.detail else ""
    return STATE.format(state.tone, MARKS[state.tone], state.words) + below
