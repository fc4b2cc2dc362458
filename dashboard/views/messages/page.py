"""The messages page: each message as the member gets it, its text, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.messages import MessagePage, read_message_page
from dashboard.settings import DashboardSettings
from dashboard.text.audit_log import name_actor
from dashboard.text.groups import THEN_PAID
from dashboard.text.next_step import format_when
from dashboard.ui import banners
from dashboard.ui.audit_list import show_audit_log
from dashboard.ui.html import render_facts, show_html
from dashboard.ui.links import read_address
from dashboard.views.messages.editor import FIELDS, show_editor
from dashboard.views.messages.preview import show_message
from dashboard.views.payments.filters import choose
from db.audit_log import DASHBOARD
from db.reporting.message_results import Results
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryFailure, MailEventKind
from recovery.labels import (
    DELIVERY_FAILURES,
    EMAIL_EVENTS,
    MESSAGE_STATES,
    MESSAGES,
    REASONS,
    RECOVERED_BY,
    continue_with,
)
from recovery.message_schedule import SEQUENCES
from recovery.status import MessageState, RecoveredBy, Step
from recovery.wording import Period, count, format_share

PERIODS = (Period.MONTH, Period.QUARTER)


@dataclass(frozen=True, slots=True)
class Selection:
    """The message, reason and period that the address names."""

    step: Step
    decline_class: DeclineClass
    period: Period


def show(settings: DashboardSettings) -> None:
    st.title("Messages", anchor=False)
    selection = read_selection(read_address())
    show_choices(selection)

    def look() -> MessagePage | Unavailable:
        return for_company(
            settings, read_message_page, selection.step, selection.decline_class, selection.period
        )

    page = look()
    if isinstance(page, Unavailable):
        banners.retry_until_available(look, FIELDS)
        return
    zone = ZoneInfo(page.time_zone)
    template = describe_template(page, selection.step, zone)
    show_html(Markup('<p class="summary">{}</p>').format(template))
    words = show_editor(settings, page, selection.step)
    show_message(page, selection.step, selection.decline_class, words)
    st.header(f"Results: {MESSAGES[selection.step]}", anchor=False)
    show_period()
    show_html(render_results(page.results.get(selection.step, Results())))
    st.header("Suppressed addresses", anchor=False)
    suppressed = describe_suppressed(page.suppressed)
    show_html(Markup('<p class="lines">{}</p>').format(suppressed))
    st.header("Activity log", anchor=False)
    show_audit_log(page.entries, zone)


# --- what is shown -----------------------------------------------------------------------------


def list_classes(step: Step) -> list[DeclineClass]:
    """The reasons for which members get this message."""
    return [decline_class for decline_class, steps in SEQUENCES.items() if step in steps]


def read_selection(address: Mapping[str, str]) -> Selection:
    """Nonsense is left out: anybody can type an address."""
    step = choose(Step, address.get("step")) or Step.PAYMENT_FAILED
    classes = list_classes(step)
    asked = choose(DeclineClass, address.get("class"))
    period = choose(Period, address.get("within"))
    return Selection(
        step,
        asked if asked in classes else classes[0],
        period if period in PERIODS else Period.MONTH,
    )


def show_choices(selection: Selection) -> None:
    st.session_state.update(
        {
            "message-step": selection.step.value,
            "message-class": selection.decline_class.value,
            "message-within": selection.period,
        }
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Message",
            [step.value for step in MESSAGES],
            format_func=lambda step: MESSAGES[Step(step)],
            key="message-step",
            on_change=apply,
            width=240,
        )
        st.selectbox(
            "Reason",
            [decline_class.value for decline_class in list_classes(selection.step)],
            format_func=lambda decline_class: REASONS[DeclineClass(decline_class)],
            key="message-class",
            on_change=apply,
            width=280,
        )


def show_period() -> None:
    st.segmented_control(
        "Sent within",
        list(PERIODS),
        format_func=lambda period: Period(period).label,
        key="message-within",
        on_change=apply,
        label_visibility="collapsed",
    )


def apply() -> None:
    """Writes the widgets' values into the address."""
    for name in ("step", "class", "within"):
        if (value := st.session_state.get(f"message-{name}")) is not None:
            st.query_params[name] = str(value)


# --- what is said ------------------------------------------------------------------------------


def describe_template(page: MessagePage, step: Step, zone: ZoneInfo) -> str:
    if page.own is None or page.own_since is None:
        return f"{MESSAGES[step]}: default template in use."
    when = format_when(page.own_since, zone)
    by = name_actor(page.own_by or DASHBOARD)
    return f"{MESSAGES[step]}: your own text in use, saved {when} by {by}."


RESULTS = {
    MESSAGE_STATES[MessageState.SENT]: "Accepted by the email service or Whop chat.",
    EMAIL_EVENTS[MailEventKind.DELIVERED]: "Emails that the member's mailbox accepted.",
    EMAIL_EVENTS[MailEventKind.OPENED]: "Emails that were reported as opened.",
    EMAIL_EVENTS[MailEventKind.CLICKED]: "Emails in which a link was clicked.",
    "Problems": "Emails that bounced, were dropped or reported as spam, or whose reader "
    "unsubscribed.",
    THEN_PAID: "The member paid after it had arrived, and we claim the payment: "
    f"{continue_with(RECOVERED_BY[RecoveredBy.CLICK])}, or "
    f"{continue_with(RECOVERED_BY[RecoveredBy.MEMBER])}.",
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
    results_with_numbers = zip(RESULTS.items(), numbers, strict=True)
    return render_facts(
        (name, fact.format(number, words)) for (name, words), number in results_with_numbers
    )


def describe_suppressed(suppressed: Mapping[DeliveryFailure, int]) -> str:
    if not suppressed:
        return "None: every address can receive messages."
    listed = [
        f"{suppressed[reason]:,} {continue_with(label)}"
        for reason, label in DELIVERY_FAILURES.items()
        if suppressed.get(reason)
    ]
    return f"{count(sum(suppressed.values()), 'address', 'addresses')}: {', '.join(listed)}."
