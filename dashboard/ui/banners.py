"""What is said when there is nothing to show yet, or no more, and how fresh the figures are."""

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

REFRESH = "10s"
"""How often what a page shows is read again."""
FIRST_TEST = """curl -X POST {url}/webhook/payment_failed \\
  -H 'Content-Type: application/json' \\
  -d '{{"payment_id": "abc123", "member_id": "user45", "amount": 49.99, "reason": "card_declined"}}'
"""


def show_unavailable(reason: Unavailable) -> None:
    match reason:
        case Unavailable.AWAY:
            st.error(
                "The database does not answer. This page asks again every 10 seconds and shows "
                "the figures as soon as it is back."
            )
        case Unavailable.UNMIGRATED:
            st.error(
                "The database is not migrated. Run `python -m db migrate`; this page then shows "
                "the figures by itself."
            )
        case Unavailable.SEVERAL_COMPANIES:
            st.warning(
                "This database holds several companies. Set `WHOP_COMPANY_ID` to the one to show, "
                "and start the dashboard again."
            )
        case _:
            assert_never(reason)


@st.fragment(run_every=REFRESH)
def wait_out(look: Callable[[], object], typed: str) -> None:
    """For a page that does not refresh by itself. `typed`: how the keys of its fields begin. In
    each run Streamlit forgets the fields that are not shown, unless they are set."""
    state = st.session_state
    state.update({key: state[key] for key in state if str(key).startswith(typed)})
    found = look()
    if isinstance(found, Unavailable):
        show_unavailable(found)
    else:
        st.rerun()


def show_first_steps(receiver: str) -> None:
    """Nothing has failed yet: what will happen, and how to see it happen now."""
    st.header("No failed payments yet", anchor=False)
    show_html(
        Markup(
            '<p class="lead">When a renewal fails, Whop tells the receiver, and the payment '
            "appears here within 10 seconds, by itself: what it is worth, why it failed, when it "
            "is charged again, and whether the money came back.</p>"
            '<p class="lead">To see it now, with a receiver in development mode, send it a failed '
            "payment:</p>"
        )
    )
    # No language: some of the colours that Streamlit gives to code are too pale to be read.
    st.code(FIRST_TEST.format(url=receiver), language=None, wrap_lines=True)


def show_freshness(snapshot: Snapshot) -> None:
    local = snapshot.as_of.astimezone(ZoneInfo(snapshot.time_zone))
    zone = snapshot.time_zone.replace("_", " ")
    cycle = snapshot.heartbeat.last_cycle_at if snapshot.heartbeat else None
    age = None if cycle is None else snapshot.as_of - cycle
    ran = "" if age is None else f" Last retry cycle {format_span(age)} ago."
    whose = f" Company {snapshot.company_id}." if snapshot.company_id else ""
    show_html(
        Markup(
            '<p class="fresh"><span class="live" aria-hidden="true"></span>As of '
            "<b>{:%H:%M:%S}</b> ({}), refreshed every 10 seconds.{}{}</p>"
        ).format(local, zone, ran, whose)
    )
    if age is None:
        warn_about_daemon("No retry cycle has run yet.")
    elif assess_cycle(snapshot.heartbeat, snapshot.as_of) in OVERDUE:
        warn_about_daemon(f"The last retry cycle was {format_span(age)} ago.")


def show_amiss(snapshot: Snapshot) -> None:
    """Whop out of reach, and what our key may not do there: one warning each."""
    heartbeat, sync = snapshot.heartbeat, snapshot.sync
    match assess_whop(heartbeat, sync, snapshot.as_of):
        case WhopState.DOWN if heartbeat is not None and heartbeat.whop_down_since is not None:
            warn("Whop does not answer.", describe_outage(snapshot, heartbeat.whop_down_since))
        case WhopState.KEY_REFUSED | WhopState.UNREADABLE if sync and sync.failure:
            said = sync.failure.detail
            warn("Payments cannot be read back from Whop.", describe_unread(said))
    if sync is not None and sync.missing_permissions:
        missing = describe_missing(sync.missing_permissions)
        warn("Our key at Whop may not do all it needs to.", missing)


def describe_outage(snapshot: Snapshot, since: datetime) -> str:
    local = since.astimezone(ZoneInfo(snapshot.time_zone))
    return (
        f"It has not since {local:%-d %B, %H:%M}, as of the last retry cycle. Payments keep their "
        "place and nothing is charged meanwhile; the daemon goes on by itself once Whop is back. "
        "If Whop's own site works, see whether WHOP_API_URL is right."
    )


def describe_unread(words: str) -> str:
    return (
        f"Whop said: {words}. Until that is solved, failures and payments that no webhook told us "
        "about are missing here. See whether WHOP_API_KEY is valid for this company; the daemon "
        "tries again in every cycle."
    )


def describe_missing(permissions: Sequence[str]) -> str:
    return (
        f"Missing: {', '.join(permissions)}. What needs them is left undone, and payments may be "
        "missing here. Grant them to the key in Whop's developer settings, or approve them where "
        "the app is installed; the daemon notices in its next cycle."
    )


def warn(what: str, then: str) -> None:
    """As HTML: some of these words are Whop's, and `st.warning` would read them as Markdown."""
    show_html(Markup('<p class="amiss" role="alert"><b>{}</b> {}</p>').format(what, then))


def warn_about_daemon(what: str) -> None:
    st.warning(f"{what} Nothing is charged again until the daemon runs: `python -m daemon`.")


def show_result(good: bool, words: str) -> None:
    """What became of a click."""
    css, role = ("told", "status") if good else ("amiss", "alert")
    show_html(Markup('<p class="{}" role="{}">{}</p>').format(css, role, words))
