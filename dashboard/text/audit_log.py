"""The entries of the activity log in words. The database keeps codes and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboard.text.settings import format_value, name_setting
from db.audit_log import COMMAND, DASHBOARD
from db.models import AuditEntry
from recovery.labels import ACTIONS, MESSAGES
from recovery.status import Action, Step

ACTORS: Mapping[str, str] = {DASHBOARD: "you", COMMAND: "a command"}


def name_actor(actor: str) -> str:
    """`you` for whoever acts on a page: nobody signs in by name yet."""
    return ACTORS.get(actor, actor)


def describe(entry: AuditEntry) -> str:
    match entry.action:
        case Action.SETTINGS:
            return describe_changes(entry.details)
        case Action.TEMPLATE:
            return describe_template(entry.details)
        case Action.OTHER:
            return str(entry.details.get("words", ACTIONS[Action.OTHER]))
        case _:
            return ACTIONS[entry.action]


def describe_changes(changes: Mapping[str, Any]) -> str:
    """`Weekly digest: off → on, Digest address changed`. Private values are not kept."""
    return ", ".join(
        f"{name_setting(name)} changed"
        if change == "changed"
        else f"{name_setting(name)}: {format_value(name, change['from'])} → "
        f"{format_value(name, change['to'])}"
        for name, change in changes.items()
    )


def describe_template(details: Mapping[str, Any]) -> str:
    step = str(details.get("step", ""))
    name = MESSAGES[Step(step)] if step in set(Step) else "Message"
    return f"{name}: {'reset to default' if details.get('restored') else 'edited'}"
