"""Whether all is well: each part with its state, since when, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.data.database import Trouble, for_company
from dashboard.data.health import (
    Standing,
    ask_for_replay,
    find_standing,
    find_version,
)
from dashboard.settings import DashboardSettings
from dashboard.text.finding import Finding
from dashboard.text.health import judge, sum_up
from dashboard.text.payments import count
from dashboard.ui import banners as notices
from dashboard.ui.insight_style import STYLE
from db.reporting.webhook_health import Poison
from db.session import head_revision
from recovery.health import Level

MARKS = {Level.GREEN: "✓", Level.AMBER: "!", Level.RED: "✕", Level.NONE: "…"}
TONES = {Level.GREEN: "good", Level.AMBER: "look", Level.RED: "broken", Level.NONE: "none"}
OVERALL = {
    Level.GREEN: "All is well.",
    Level.AMBER: "It works, and something deserves a look.",
    Level.RED: "Something is broken.",
}
FAILED = "replay_failed"


def show(settings: DashboardSettings) -> None:
    st.html(STYLE)
    st.title("Health", anchor=False)
    refresh(settings)


@st.fragment(run_every=notices.REFRESH)
def refresh(settings: DashboardSettings) -> None:
    standing = for_company(settings, find_standing)
    if isinstance(standing, Trouble):
        notices.show_trouble(standing)
        return
    zone = ZoneInfo(standing.time_zone)
    findings = judge(standing.facts, standing.as_of, head_revision())
    # Apart from the time, which changes at every refresh: only a new state is read out.
    st.html(render_overall(sum_up(findings)))
    st.html(render_freshness(standing, zone))
    st.html(render_findings(findings, zone))
    if standing.facts.poison:
        show_poison(settings, standing, zone)


def render_overall(level: Level) -> str:
    return (
        f'<p class="overall {TONES[level]}" role="status">{render_level(level)} '
        f"<b>{OVERALL[level]}</b></p>"
    )


def render_freshness(standing: Standing, zone: ZoneInfo) -> str:
    at = f"{standing.as_of.astimezone(zone):%H:%M:%S}"
    version, revision = find_version(), standing.facts.revision or "none"
    return (
        f'<p class="fresh">As of <b>{at}</b> ({escape(zone.key.replace("_", " "))}), refreshed '
        f"every 10 seconds. Version {escape(version)}, database revision {escape(revision)}.</p>"
    )


def render_level(level: Level) -> str:
    mark = f'<span aria-hidden="true">{MARKS[level]}</span>'
    return f'<span class="level {TONES[level]}">{mark} {level.value}</span>'


def render_findings(findings: Sequence[Finding], zone: ZoneInfo) -> str:
    """A list, each entry headed by its part: what is amiss comes with what to do."""
    items = "".join(render_finding(finding, zone) for finding in findings)
    return f'<ul class="checks">{items}</ul>'


def render_finding(finding: Finding, zone: ZoneInfo) -> str:
    fine = finding.level is Level.GREEN
    when = f"{'last at' if fine else 'since'} {say_time(finding.since, zone)}"
    since = f'<span class="since">{when}</span>'
    todo = f'<p class="todo">{escape(finding.todo)}</p>' if finding.todo else ""
    return (
        f'<li class="{TONES[finding.level]}"><div class="part"><b>{escape(finding.part)}</b>'
        f"{since if finding.since else ''}</div>"
        f"<div>{render_level(finding.level)}</div>"
        f'<div class="said"><p>{escape(finding.words)}</p>{todo}</div></li>'
    )


def say_time(moment: datetime | None, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%-d %b, %H:%M}" if moment else ""


def show_poison(settings: DashboardSettings, standing: Standing, zone: ZoneInfo) -> None:
    st.header("Events that could not be applied", anchor=False)
    shown, number = standing.facts.poison, standing.facts.poison_count
    rest = number - len(shown)
    st.html(
        '<p class="sentence">Each is kept and changes nothing until it can be applied. A replay '
        "tries all of them again with the code that runs now; what is applied already stays as it "
        "is.</p>" + render_poison(shown, zone) + say_rest(rest)
    )
    if standing.replay_asked_at is not None:
        asked = say_time(standing.replay_asked_at, zone)
        st.html(
            f'<p class="note" role="status">Replay asked for at {asked}; the daemon does it within '
            "a minute. If nothing happens, see whether it runs.</p>"
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


def say_rest(rest: int) -> str:
    return f'<p class="note">And {rest:,} older ones.</p>' if rest > 0 else ""


def replay(settings: DashboardSettings, company_id: str) -> None:
    st.session_state[FAILED] = not ask_for_replay(settings, company_id)


def render_poison(events: Sequence[Poison], zone: ZoneInfo) -> str:
    items = "".join(
        f"<li><b>{escape(event.type)}</b> <span>{say_time(event.received_at, zone)}</span>"
        f"<code>{escape(event.event_id)}</code><p>{escape(event.error)}</p></li>"
        for event in events
    )
    return f'<ul class="poison">{items}</ul>'
