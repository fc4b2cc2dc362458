"""What somebody did, in words. The audit list itself holds codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.models import Deed
from recovery.status import Action

ACTS: Mapping[Action, str] = {
    Action.RETRY: "asked for a retry now",
    Action.STOP: "stopped the work on it",
    Action.REPLAY_EVENTS: "asked for a replay of the events that could not be applied",
}


def describe(deed: Deed) -> str:
    match deed.what:
        case Action.SETTINGS:
            return f"changed {describe_changes(deed.details)}"
        case Action.TEMPLATE:
            step = str(deed.details.get("step", "")).replace("_", " ")
            done = "restored our words" if deed.details.get("restored") else "saved your own words"
            return f"{done}: {step}"
        case Action.OTHER:
            return str(deed.details.get("words", "did something"))
        case _:
            return ACTS[deed.what]


def describe_changes(changes: Mapping[str, Any]) -> str:
    """Each choice with its old and its new value; where those are private it was only noted."""
    return ", ".join(
        f"{name.replace('_', ' ')}"
        if change == "changed"
        else f"{name.replace('_', ' ')} from {change['from']} to {change['to']}"
        for name, change in changes.items()
    )
