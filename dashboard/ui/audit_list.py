"""The audit list: who did what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from markupsafe import Markup

from dashboard.text.audit_log import describe
from dashboard.text.payments import format_when
from dashboard.ui.html import fill, show_html
from dashboard.ui.links import address, render_link
from db.models import Deed


def show_deeds(deeds: Sequence[Deed], zone: ZoneInfo) -> None:
    listed = [
        {
            "when": format_when(deed.done_at, zone),
            "by": deed.done_by,
            "what": describe(deed),
            "payment": link_to_payment(deed),
        }
        for deed in deeds
    ]
    show_html(fill("ui/audit_list.html", deeds=listed))


def link_to_payment(deed: Deed) -> Markup | None:
    if deed.payment_id is None:
        return None
    return render_link(deed.payment_id, address("payments", {"payment": deed.payment_id}))
