"""The audit list: who did what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from dashboard.text.payments import format_when
from dashboard.ui.links import address, render_link
from db.models import Deed


def render_deeds(deeds: Sequence[Deed], zone: ZoneInfo) -> str:
    if not deeds:
        return '<p class="note">Nothing yet. Whatever is asked for or changed here is kept.</p>'
    return f'<ul class="deeds">{"".join(render_deed(deed, zone) for deed in deeds)}</ul>'


def render_deed(deed: Deed, zone: ZoneInfo) -> str:
    when = escape(format_when(deed.done_at, zone))
    which = ""
    if deed.payment_id is not None:
        to = address("payments", {"payment": deed.payment_id})
        which = f" ({render_link(escape(deed.payment_id), to)})"
    return f"<li><b>{when}</b> {escape(deed.done_by)} {escape(describe(deed))}{which}</li>"


def describe(deed: Deed) -> str:
    if deed.what == "template":
        step = str(deed.details.get("step", "")).replace("_", " ")
        done = "restored our words" if deed.details.get("restored") else "saved your own words"
        return f"{done}: {step}"
    if deed.what == "settings":
        return f"changed {describe_changes(deed.details)}"
    return deed.what


def describe_changes(changes: Mapping[str, Any]) -> str:
    """Each choice with its old and its new value; where those are private it was only noted."""
    return ", ".join(
        f"{name.replace('_', ' ')}"
        if change == "changed"
        else f"{name.replace('_', ' ')} from {change['from']} to {change['to']}"
        for name, change in changes.items()
    )
