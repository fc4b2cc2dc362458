"""The settings page: what a creator chooses, and what only the server's operator sets."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.choices import Group, SavedSettings, read_choices
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

    def look() -> SavedSettings | Unavailable | None:
        return for_company(settings, read_choices)

    saved = look()
    if isinstance(saved, Unavailable):
        banners.retry_until_available(look, FIELDS)
        return
    if saved is None:
        st.info("No company yet. Set `WHOP_COMPANY_ID`, or wait for the first payment to arrive.")
    else:
        for group in Group:
            show_group(settings, saved, group)
    st.header("Currency", anchor=False)
    show_html(
        Markup(
            '<p class="lines">Totals are in US dollars, converted at Whop\'s rate when the payment '
            "was charged. Each payment is shown in its own currency.</p>"
        )
    )
    show_environment(settings)
    if saved is not None:
        st.header("Activity log", anchor=False)
        show_audit_log(saved.entries, find_zone(saved))


def find_zone(saved: SavedSettings) -> ZoneInfo:
    recovery_settings = saved.kept[Group.RECOVERY]
    return ZoneInfo(
        recovery_settings.time_zone if isinstance(recovery_settings, RecoverySettings) else "UTC"
    )


def show_environment(settings: DashboardSettings) -> None:
    rows = (
        ("Retry policy", "RETRY_POLICY", settings.retry_policy),
        ("Max retries", "MAX_RETRIES", str(settings.max_retries)),
        (
            "Minimum gap between retries",
            "RETRY_INTERVAL_MINUTES",
            count(settings.retry_interval_minutes, "minute"),
        ),
        ("Emails to members", "EMAIL_ENABLED", "on" if settings.email_enabled else "off"),
    )
    fact = Markup('{}<span class="note"><code>{}</code></span>')
    facts = render_facts((label, fact.format(value, name)) for label, name, value in rows)
    st.header("Server settings", anchor=False)
    show_html(
        Markup(
            '<p class="note">These are set on the server, in the environment. Use the same values '
            "for receiver, daemon and dashboard, and restart all three after a change. Shown here "
            "are the dashboard's.</p>{}"
        ).format(facts)
    )
