"""What a creator may choose, and what only the operator sets."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.choices import Chosen, Group, read_choices
from dashboard.data.database import Unavailable, for_company
from dashboard.settings import DashboardSettings
from dashboard.ui import banners
from dashboard.ui.audit_list import show_audit_log
from dashboard.ui.html import render_facts, show_html
from dashboard.views.settings.group import FIELDS, show_group
from db.company_settings.recovery import RecoverySettings
from recovery.wording import count


def show(settings: DashboardSettings) -> None:
    st.title("Settings", anchor=False)

    def look() -> Chosen | Unavailable | None:
        return for_company(settings, read_choices)

    chosen = look()
    if isinstance(chosen, Unavailable):
        banners.wait_out(look, FIELDS)
        return
    if chosen is None:
        st.info("No company is known yet. Set `WHOP_COMPANY_ID`, or wait for its first payment.")
    else:
        for group in Group:
            show_group(settings, chosen, group)
    st.header("Money", anchor=False)
    show_html(
        Markup(
            '<p class="lines">Sums are in US dollars, by the conversion that Whop made when the '
            "payment was charged; each amount is shown in its own currency. There is nothing to "
            "choose here: no rate of ours could be as true.</p>"
        )
    )
    show_environment(settings)
    if chosen is not None:
        st.header("What was done here", anchor=False)
        show_audit_log(chosen.entries, find_zone(chosen))


def find_zone(chosen: Chosen) -> ZoneInfo:
    recovery_settings = chosen.kept[Group.RECOVERY]
    return ZoneInfo(
        recovery_settings.time_zone if isinstance(recovery_settings, RecoverySettings) else "UTC"
    )


def show_environment(settings: DashboardSettings) -> None:
    rows = (
        ("Retry policy", "RETRY_POLICY", settings.retry_policy),
        ("Retries at most", "MAX_RETRIES", str(settings.max_retries)),
        (
            "Least time between two",
            "RETRY_INTERVAL_MINUTES",
            count(settings.retry_interval_minutes, "minute"),
        ),
        ("Mails to members", "EMAIL_ENABLED", "on" if settings.email_enabled else "off"),
    )
    fact = Markup('{}<span class="note"><code>{}</code></span>')
    facts = render_facts((label, fact.format(value, name)) for label, name, value in rows)
    st.header("Set where the processes run", anchor=False)
    show_html(
        Markup(
            '<p class="note">These are environment settings, read when a process starts: change '
            "them on the host, the same for receiver, daemon and dashboard, and start all three "
            "again. Shown is what the dashboard was started with.</p>{}"
        ).format(facts)
    )
