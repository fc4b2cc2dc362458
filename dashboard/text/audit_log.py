"""What somebody did, in words. The audit list itself holds codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.models import AuditEntry
from recovery.status import Action

ACTS: Mapping[Action, str] = {
    Action.RETRY: "asked for a retry now",
    Action.STOP: "stopped the work on it",
    Action.REPLAY_EVENTS: "asked for a replay of the events that could not be applied",
}


def describe(entry: AuditEntry) -> str:
    match entry.action:
        case Action.SETTINGS:
            return f"changed {describe_changes(entry.details)}"
        case Action.TEMPLATE:
            step = str(entry.details.get("step", "")).replace("_", " ")
            done = "restored our words" if entry.details.get("restored") else "saved your own words"
            return f"{done}: {step}"
        case Action.OTHER:
            return str(entry.details.get("words", "did something"))
        case _:
            return ACTS[entry.action]


def describe_changes(changes: Mapping[str, Any]) -> str:
    """Each choice with its old and its new value; where those are private it was only noted."""
    return ", ".join(
        f"{name.replace('_', ' ')}"
        if change == "changed"
        else f"{name.replace('_', ' ')} from {change['from']} to {change['to']}"
        for name, change in changes.items()
    )
