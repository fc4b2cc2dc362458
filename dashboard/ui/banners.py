"""The notices of all pages: how fresh the figures are, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable
from dashboard.data.overview import Snapshot
from dashboard.ui.html import show_html
from recovery.health import OVERDUE, WhopState, assess_cycle, assess_whop
from recovery.wording import format_span

# How often a page reads its figures again.
REFRESH = "10s"
FIRST_TEST = """curl -X POST {url}/webhook/payment_failed \\
  -H 'Content-Type: application/json' \\
  -d '{{"payment_id": "abc123", "member_id": "user45", "amount": 49.99, "reason": "card_declined"}}'
"""


def show_unavailable(reason: Unavailable) -> None:
    match reason:
        case Unavailable.AWAY:
            st.error(
                "The database does not answer. This page tries again every 10 seconds and shows "
                "your figures as soon as it is back."
            )
        case Unavailable.UNMIGRATED:
            st.error(
                "The database needs an update. Run `python -m db migrate`; your figures then "
                "appear by themselves."
            )
        case Unavailable.SEVERAL_COMPANIES:
            st.warning(
                "This database holds several companies. Set `WHOP_COMPANY_ID` to the one to show, "
                "then restart the dashboard."
            )
        case _:
            assert_never(reason)


@st.fragment(run_every=REFRESH)
def retry_until_available(look: Callable[[], object], typed: str) -> None:
    """For a page that does not refresh by itself. `typed`: the prefix of its fields' keys. In each
    run Streamlit forgets the fields that are not shown, unless they are set."""
    state = st.session_state
    state.update({key: state[key] for key in state if str(key).startswith(typed)})
    found = look()
    if isinstance(found, Unavailable):
        show_unavailable(found)
    else:
        st.rerun()


def show_first_steps(receiver: str) -> None:
    """Nothing has failed yet: what will happen, and how to try it now."""
    st.header("No failed payments yet", anchor=False)
    show_html(
        Markup(
            '<p class="lead">When a renewal fails, it appears here within 10 seconds: the amount, '
            "the reason, the next retry, and whether it was recovered.</p>"
            '<p class="lead">To try it now in development mode, send a failed payment:</p>'
        )
    )
    # No language: some of Streamlit's code colours are too pale to read.
    st.code(FIRST_TEST.format(url=receiver), language=None, wrap_lines=True)


def show_freshness(snapshot: Snapshot) -> None:
    local = snapshot.as_of.astimezone(ZoneInfo(snapshot.time_zone))
    zone = snapshot.time_zone.replace("_", " ")
    cycle = snapshot.heartbeat.last_cycle_at if snapshot.heartbeat else None
    age = None if cycle is None else snapshot.as_of - cycle
    company = f"{snapshot.company_name} · " if snapshot.company_name else ""
    show_html(
        Markup(
            '<p class="fresh"><span class="live" aria-hidden="true"></span>{}Updated '
            "<b>{:%H:%M:%S}</b> ({}), refreshes every 10 seconds.</p>"
        ).format(company, local, zone)
    )
    if age is None:
        warn_about_daemon("Retries have not run yet.")
    elif assess_cycle(snapshot.heartbeat, snapshot.as_of) in OVERDUE:
        warn_about_daemon(f"Retries last ran {format_span(age)} ago.")


def show_warnings(snapshot: Snapshot) -> None:
    """One each for a Whop that is out of reach, and for permissions that are missing there."""
    heartbeat, sync = snapshot.heartbeat, snapshot.sync
    match assess_whop(heartbeat, sync, snapshot.as_of):
        case WhopState.DOWN if heartbeat is not None and heartbeat.whop_down_since is not None:
            warn("Whop does not answer.", describe_outage(snapshot, heartbeat.whop_down_since))
        case WhopState.KEY_REFUSED | WhopState.UNREADABLE if sync and sync.failure:
            warn("Payments cannot be read from Whop.", describe_unread(sync.failure.detail))
    if sync is not None and sync.missing_permissions:
        missing = describe_missing(sync.missing_permissions)
        warn("Your Whop key is missing permissions.", missing)


def describe_outage(snapshot: Snapshot, since: datetime) -> str:
    local = since.astimezone(ZoneInfo(snapshot.time_zone))
    return (
        f"No answer since {local:%-d %B, %H:%M}. Nothing is charged meanwhile and nothing is lost: "
        "recovery resumes by itself when Whop is back. If Whop's own site works, check "
        "WHOP_API_URL."
    )


def describe_unread(words: str) -> str:
    return (
        f"Whop said: {words}. Until this is fixed, payments that arrived without a webhook are "
        "missing here. Check that WHOP_API_KEY is valid for this company."
    )


def describe_missing(permissions: Sequence[str]) -> str:
    return (
        f"Missing: {', '.join(permissions)}. Whatever needs them is paused, and payments may be "
        "missing here. Grant them to the key in Whop's developer settings, or approve them where "
        "the app is installed. Recovery continues within the hour."
    )


def warn(what: str, then: str) -> None:
    """As HTML: some words are Whop's own, and `st.warning` would read them as Markdown."""
    show_html(Markup('<p class="warning" role="alert"><b>{}</b> {}</p>').format(what, then))


def warn_about_daemon(what: str) -> None:
    st.warning(f"{what} Nothing is charged until the daemon runs: `python -m daemon`.")


def show_result(good: bool, words: str) -> None:
    """The result of a click."""
    css, role = ("result", "status") if good else ("warning", "alert")
    show_html(Markup('<p class="{}" role="{}">{}</p>').format(css, role, words))
