"""Every message in every class: as the member gets it, in whose words, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.messages import MessagePage, read_message_page
from dashboard.settings import DashboardSettings
from dashboard.text.payments import format_when
from dashboard.ui import banners
from dashboard.ui.audit_list import show_audit_log
from dashboard.ui.html import render_facts, show_html
from dashboard.views.messages.editor import FIELDS, show_editor
from dashboard.views.messages.preview import show_message
from dashboard.views.payments.filters import choose
from db.reporting.message_results import Results
from recovery.declines import DeclineClass
from recovery.labels import DELIVERY_FAILURES, MESSAGES, REASONS, continue_with
from recovery.message_schedule import SEQUENCES
from recovery.status import DeliveryFailure, Step
from recovery.wording import Period, count, format_share

PERIODS = (Period.MONTH, Period.QUARTER)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the address asks for."""

    step: Step
    decline_class: DeclineClass
    period: Period


def show(settings: DashboardSettings) -> None:
    st.title("Messages", anchor=False)
    chosen = read_chosen(st.query_params)
    show_choices(chosen)

    def look() -> MessagePage | Unavailable:
        return for_company(
            settings, read_message_page, chosen.step, chosen.decline_class, chosen.period
        )

    page = look()
    if isinstance(page, Unavailable):
        banners.wait_out(look, FIELDS)
        return
    zone = ZoneInfo(page.time_zone)
    standing = describe_words(page, chosen.step, zone)
    show_html(Markup('<p class="standing">{}</p>').format(standing))
    words = show_editor(settings, page, chosen.step)
    show_message(page, chosen.step, chosen.decline_class, words)
    st.header(f"What came of it: {MESSAGES[chosen.step]}", anchor=False)
    show_period()
    show_html(render_results(page.results.get(chosen.step, Results())))
    st.header("Addresses that are not written to", anchor=False)
    suppressed = describe_suppressed(page.suppressed)
    show_html(Markup('<p class="lines">{}</p>').format(suppressed))
    st.header("What was done here", anchor=False)
    show_audit_log(page.entries, zone)


# --- what is shown -----------------------------------------------------------------------------


def list_classes(step: Step) -> list[DeclineClass]:
    """Those whose members get this message."""
    return [decline_class for decline_class, steps in SEQUENCES.items() if step in steps]


def read_chosen(address: Mapping[str, str]) -> Chosen:
    """What makes no sense is left out: an address is typed by anybody."""
    step = choose(Step, address.get("step")) or Step.PAYMENT_FAILED
    classes = list_classes(step)
    asked = choose(DeclineClass, address.get("class"))
    period = choose(Period, address.get("within"))
    return Chosen(
        step,
        asked if asked in classes else classes[0],
        period if period in PERIODS else Period.MONTH,
    )


def show_choices(chosen: Chosen) -> None:
    st.session_state.update(
        {
            "studio-step": chosen.step.value,
            "studio-class": chosen.decline_class.value,
            "studio-within": chosen.period,
        }
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Message",
            [step.value for step in MESSAGES],
            format_func=lambda step: MESSAGES[Step(step)],
            key="studio-step",
            on_change=apply,
            width=240,
        )
        st.selectbox(
            "Why the payment failed",
            [decline_class.value for decline_class in list_classes(chosen.step)],
            format_func=lambda decline_class: REASONS[DeclineClass(decline_class)],
            key="studio-class",
            on_change=apply,
            width=280,
        )


def show_period() -> None:
    st.segmented_control(
        "Sent within",
        list(PERIODS),
        format_func=lambda period: Period(period).label,
        key="studio-within",
        on_change=apply,
        label_visibility="collapsed",
    )


def apply() -> None:
    """From the widgets to the address."""
    for name in ("step", "class", "within"):
        if (value := st.session_state.get(f"studio-{name}")) is not None:
            st.query_params[name] = str(value)


# --- what is said ------------------------------------------------------------------------------


def describe_words(page: MessagePage, step: Step, zone: ZoneInfo) -> str:
    if page.own is None or page.own_since is None:
        return f"{MESSAGES[step]}: our words are sent."
    when = format_when(page.own_since, zone)
    return f"{MESSAGES[step]}: your own words are sent, saved {when} by {page.own_by}."


RESULTS = {
    "Sent": "Messages that the mail service or Whop's chat took.",
    "Delivered": "Of those sent as mail: the member's mail server took it.",
    "Opened": "Of those sent as mail: the mail service was told that it was opened.",
    "Clicked": "Of those sent as mail: a link in it was followed.",
    "Unavailable": "Of those sent as mail: bounced, dropped, called spam or answered with no more.",
    "Paid after": "Of those sent: the member paid later, and neither our charge nor Whop's "
    "explains it.",
}


def render_results(results: Results) -> Markup:
    numbers = (
        f"{results.sent:,}",
        format_share(results.delivered, results.mails),
        format_share(results.opened, results.mails),
        format_share(results.clicked, results.mails),
        format_share(results.undelivered, results.mails),
        format_share(results.paid_after, results.sent),
    )
    fact = Markup('<b>{}</b><span class="note">{}</span>')
    told = zip(RESULTS.items(), numbers, strict=True)
    return render_facts((name, fact.format(number, words)) for (name, words), number in told)


def describe_suppressed(suppressed: Mapping[DeliveryFailure, int]) -> str:
    if not suppressed:
        return "None: every address may be written to."
    listed = [
        f"{suppressed[reason]:,} {continue_with(label)}"
        for reason, label in DELIVERY_FAILURES.items()
        if suppressed.get(reason)
    ]
    return f"{count(sum(suppressed.values()), 'address', 'addresses')}: {', '.join(listed)}."
