"""The health page: the state of each part, since when, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.health import (
    HealthSnapshot,
    ask_for_replay,
    find_version,
    read_health,
)
from dashboard.settings import DashboardSettings
from dashboard.text.finding import Finding
from dashboard.text.health import assess, sum_up
from dashboard.ui import banners
from dashboard.ui.html import fill, show_html
from dashboard.ui.palette import render_insight_style
from db.session import head_revision
from recovery.health import Level
from recovery.wording import count

MARKS = {Level.GREEN: "✓", Level.AMBER: "!", Level.RED: "✕", Level.NONE: "…"}
TONES = {Level.GREEN: "good", Level.AMBER: "look", Level.RED: "broken", Level.NONE: "none"}
OVERALL = {
    Level.GREEN: "Everything works.",
    Level.AMBER: "Working, with a warning.",
    Level.RED: "Something needs fixing.",
}
FAILED = "replay_failed"


def show(settings: DashboardSettings) -> None:
    show_html(render_insight_style())
    st.title("Health", anchor=False)
    refresh(settings)


@st.fragment(run_every=banners.REFRESH)
def refresh(settings: DashboardSettings) -> None:
    snapshot = for_company(settings, read_health)
    if isinstance(snapshot, Unavailable):
        banners.show_unavailable(snapshot)
        return
    zone = ZoneInfo(snapshot.time_zone)
    findings = assess(snapshot.facts, snapshot.as_of, head_revision())
    # Apart from the time, which changes at every refresh: screen readers announce a new state only.
    show_html(render_overall(sum_up(findings)))
    show_html(render_freshness(snapshot, zone))
    show_html(render_findings(findings, zone))
    if snapshot.facts.poison:
        show_poison(settings, snapshot, zone)


def render_overall(level: Level) -> Markup:
    return Markup('<p class="overall {}" role="status">{} <b>{}</b></p>').format(
        TONES[level], render_level(level), OVERALL[level]
    )


def render_freshness(snapshot: HealthSnapshot, zone: ZoneInfo) -> Markup:
    return Markup(
        '<p class="fresh">Updated <b>{:%H:%M:%S}</b> ({}), refreshes every 10 seconds. '
        "Version {}, database revision {}.</p>"
    ).format(
        snapshot.as_of.astimezone(zone),
        zone.key.replace("_", " "),
        find_version(),
        snapshot.facts.revision or "none",
    )


def render_level(level: Level) -> Markup:
    return Markup('<span class="level {}"><span aria-hidden="true">{}</span> {}</span>').format(
        TONES[level], MARKS[level], level.value
    )


def render_findings(findings: Sequence[Finding], zone: ZoneInfo) -> Markup:
    listed = [
        (finding, TONES[finding.level], render_level(finding.level), describe_since(finding, zone))
        for finding in findings
    ]
    return fill("views/health/findings.html", findings=listed)


def describe_since(finding: Finding, zone: ZoneInfo) -> str:
    if finding.since is None:
        return ""
    word = "last" if finding.level is Level.GREEN else "since"
    return f"{word} {format_time(finding.since, zone)}"


def format_time(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%-d %b, %H:%M}"


def show_poison(settings: DashboardSettings, snapshot: HealthSnapshot, zone: ZoneInfo) -> None:
    st.header("Events that could not be processed", anchor=False)
    shown, number = snapshot.facts.poison, snapshot.facts.poison_count
    listed = [(event, format_time(event.received_at, zone)) for event in shown]
    show_html(fill("views/health/poison.html", events=listed, rest=number - len(shown)))
    if snapshot.replay_requested_at is not None:
        requested = format_time(snapshot.replay_requested_at, zone)
        show_html(
            Markup(
                '<p class="note" role="status">Replay requested {}. It starts within a minute; if '
                "nothing happens, check the daemon above.</p>"
            ).format(requested)
        )
        return
    st.button(
        f"Replay {count(number, 'event')}",
        key="replay",
        on_click=replay,
        args=[settings, snapshot.company_id],
    )
    if st.session_state.pop(FAILED, False):
        st.error("The database did not answer, so no replay was requested. Please try again.")


def replay(settings: DashboardSettings, company_id: str) -> None:
    st.session_state[FAILED] = not ask_for_replay(settings, company_id)
