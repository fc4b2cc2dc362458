"""The activity log: who did what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from markupsafe import Markup

from dashboard.text.audit_log import describe, name_actor
from dashboard.text.next_step import format_when
from dashboard.ui.html import fill, show_html
from dashboard.ui.links import address, render_link
from db.models import AuditEntry


def show_audit_log(
    entries: Sequence[AuditEntry], zone: ZoneInfo, *, with_links: bool = True
) -> None:
    """Without links on the page of the payment itself."""
    listed = [
        {
            "when": format_when(entry.done_at, zone),
            "by": name_actor(entry.actor),
            "what": describe(entry),
            "payment": link_to_payment(entry) if with_links else None,
        }
        for entry in entries
    ]
    show_html(fill("ui/audit_list.html", entries=listed))


def link_to_payment(entry: AuditEntry) -> Markup | None:
    if entry.payment_id is None:
        return None
    return render_link("view payment", address("payments", {"payment": entry.payment_id}))
