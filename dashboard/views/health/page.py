"""Whether all is well: each part with its state, since when, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.health import (
    Standing,
    ask_for_replay,
    find_standing,
    find_version,
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
    Level.GREEN: "All is well.",
    Level.AMBER: "It works, and something deserves a look.",
    Level.RED: "Something is broken.",
}
FAILED = "replay_failed"


def show(settings: DashboardSettings) -> None:
    show_html(render_insight_style())
    st.title("Health", anchor=False)
    refresh(settings)


@st.fragment(run_every=banners.REFRESH)
def refresh(settings: DashboardSettings) -> None:
    standing = for_company(settings, find_standing)
    if isinstance(standing, Unavailable):
        banners.show_unavailable(standing)
        return
    zone = ZoneInfo(standing.time_zone)
    findings = assess(standing.facts, standing.as_of, head_revision())
    # Apart from the time, which changes at every refresh: only a new state is read out.
    show_html(render_overall(sum_up(findings)))
    show_html(render_freshness(standing, zone))
    show_html(render_findings(findings, zone))
    if standing.facts.poison:
        show_poison(settings, standing, zone)


def render_overall(level: Level) -> Markup:
    return Markup('<p class="overall {}" role="status">{} <b>{}</b></p>').format(
        TONES[level], render_level(level), OVERALL[level]
    )


def render_freshness(standing: Standing, zone: ZoneInfo) -> Markup:
    return Markup(
        '<p class="fresh">As of <b>{:%H:%M:%S}</b> ({}), refreshed every 10 seconds. '
        "Version {}, database revision {}.</p>"
    ).format(
        standing.as_of.astimezone(zone),
        zone.key.replace("_", " "),
        find_version(),
        standing.facts.revision or "none",
    )


def render_level(level: Level) -> Markup:
    return Markup('<span class="level {}"><span aria-hidden="true">{}</span> {}</span>').format(
        TONES[level], MARKS[level], level.value
    )


def render_findings(findings: Sequence[Finding], zone: ZoneInfo) -> Markup:
    """A list, each entry headed by its part: what is amiss comes with what to do."""
    told = [
        (finding, TONES[finding.level], render_level(finding.level), say_since(finding, zone))
        for finding in findings
    ]
    return fill("views/health/findings.html", findings=told)


def say_since(finding: Finding, zone: ZoneInfo) -> str:
    if finding.since is None:
        return ""
    fine = finding.level is Level.GREEN
    return f"{'last at' if fine else 'since'} {say_time(finding.since, zone)}"


def say_time(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%-d %b, %H:%M}"


def show_poison(settings: DashboardSettings, standing: Standing, zone: ZoneInfo) -> None:
    st.header("Events that could not be applied", anchor=False)
    shown, number = standing.facts.poison, standing.facts.poison_count
    told = [(event, say_time(event.received_at, zone)) for event in shown]
    show_html(fill("views/health/poison.html", events=told, rest=number - len(shown)))
    if standing.replay_requested_at is not None:
        asked = say_time(standing.replay_requested_at, zone)
        show_html(
            Markup(
                '<p class="note" role="status">Replay asked for at {}; the daemon does it within '
                "a minute. If nothing happens, see whether it runs.</p>"
            ).format(asked)
        )
        return
    st.button(
        f"Replay {count(number, 'event')}",
        key="replay",
        on_click=replay,
        args=[settings, standing.company_id],
    )
    if st.session_state.pop(FAILED, False):
        st.error("The database did not answer: nothing was asked for. Try again.")


def replay(settings: DashboardSettings, company_id: str) -> None:
    st.session_state[FAILED] = not ask_for_replay(settings, company_id)
