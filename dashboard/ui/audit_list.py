"""The audit list: who did what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from zoneinfo import ZoneInfo

from dashboard.text.audit_log import describe
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
