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
from dashboard.text.payments import count, format_share, format_when
from dashboard.ui import banners
from dashboard.ui.audit_list import show_audit_log
from dashboard.ui.html import render_facts, show_html
from dashboard.views.messages.editor import FIELDS, show_editor
from dashboard.views.messages.preview import show_message
from dashboard.views.payments.filters import CLASSES, choose
from db.reporting.message_results import Results
from recovery.declines import DeclineClass
from recovery.message_schedule import SEQUENCES
from recovery.status import DeliveryFailure, Step

STEPS: dict[Step, str] = {
    Step.PAYMENT_FAILED: "Payment failed",
    Step.REMINDER: "Reminder",
    Step.LAST_DAY: "Last day",
    Step.NOTICE: "Notice",
}
PERIODS = {30: "Last 30 days", 90: "Last 90 days"}
FEW = 20
"""Below this a share in percent would say more than is known."""
WHY_SUPPRESSED: dict[DeliveryFailure, str] = {
    DeliveryFailure.BOUNCED: "do not exist or refuse mail",
    DeliveryFailure.DROPPED: "are not written to by the mail service",
    DeliveryFailure.SPAM_REPORT: "called a message spam",
    DeliveryFailure.UNSUBSCRIBED: "asked for no more",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the address asks for."""

    step: Step
    decline_class: DeclineClass
    days: int


def show(settings: DashboardSettings) -> None:
    st.title("Messages", anchor=False)
    chosen = read_chosen(st.query_params)
    show_choices(chosen)

    def look() -> MessagePage | Unavailable:
        return for_company(
            settings, read_message_page, chosen.step, chosen.decline_class, chosen.days
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
    st.header(f"What came of it: {STEPS[chosen.step]}", anchor=False)
    show_period(chosen.days)
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
    days = next((days for days in PERIODS if str(days) == address.get("days")), min(PERIODS))
    return Chosen(step, asked if asked in classes else classes[0], days)


def show_choices(chosen: Chosen) -> None:
    st.session_state.update(
        {
            "studio-step": chosen.step.value,
            "studio-class": chosen.decline_class.value,
            "studio-days": chosen.days,
        }
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Message",
            [step.value for step in STEPS],
            format_func=lambda step: STEPS[Step(step)],
            key="studio-step",
            on_change=apply,
            width=240,
        )
        st.selectbox(
            "Why the payment failed",
            [decline_class.value for decline_class in list_classes(chosen.step)],
            format_func=lambda decline_class: CLASSES[decline_class],
            key="studio-class",
            on_change=apply,
            width=280,
        )


def show_period(days: int) -> None:
    st.segmented_control(
        "Sent within",
        list(PERIODS),
        format_func=PERIODS.__getitem__,
        key="studio-days",
        on_change=apply,
        label_visibility="collapsed",
    )


def apply() -> None:
    """From the widgets to the address."""
    for name in ("step", "class", "days"):
        if (value := st.session_state.get(f"studio-{name}")) is not None:
            st.query_params[name] = str(value)


# --- what is said ------------------------------------------------------------------------------


def describe_words(page: MessagePage, step: Step, zone: ZoneInfo) -> str:
    if page.own is None or page.own_since is None:
        return f"{STEPS[step]}: our words are sent."
    when = format_when(page.own_since, zone)
    return f"{STEPS[step]}: your own words are sent, saved {when} by {page.own_by}."


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
        say_share(results.delivered, results.mails),
        say_share(results.opened, results.mails),
        say_share(results.clicked, results.mails),
        say_share(results.undelivered, results.mails),
        say_share(results.paid_after, results.sent),
    )
    fact = Markup('<b>{}</b><span class="note">{}</span>')
    told = zip(RESULTS.items(), numbers, strict=True)
    return render_facts((name, fact.format(number, words)) for (name, words), number in told)


def say_share(part: int, whole: int) -> str:
    if whole == 0:
        return "none yet"
    of = f"{part:,} of {whole:,}"
    return of if whole < FEW else f"{format_share(part / whole)} ({of})"


def describe_suppressed(suppressed: Mapping[DeliveryFailure, int]) -> str:
    if not suppressed:
        return "None: every address may be written to."
    listed = [
        f"{suppressed[reason]:,} {words}"
        for reason, words in WHY_SUPPRESSED.items()
        if suppressed.get(reason)
    ]
    return f"{count(sum(suppressed.values()), 'address', 'addresses')}: {', '.join(listed)}."
