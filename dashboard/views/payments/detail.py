"""One payment in detail: its state, its timeline, and what the creator can do."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import quote
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.overview import PaymentRow, copy_payment
from dashboard.data.payments import ask, read_detail
from dashboard.settings import DashboardSettings
from dashboard.text.next_step import SHORTLY, format_when
from dashboard.text.payment_summary import summarize_payment
from dashboard.text.payments import capitalize, describe_recovery
from dashboard.text.state import State, describe_state
from dashboard.text.timeline import Entry, list_entries
from dashboard.ui import banners
from dashboard.ui.audit_list import show_audit_log
from dashboard.ui.html import fill, show_html, show_note
from dashboard.ui.links import address, render_link
from dashboard.ui.state import MARKS, render_state
from dashboard.views.payments.mail_preview import choose_step, describe_link, write_preview
from db.models import Payment
from db.reporting.payment_detail import PaymentDetail
from db.session import now
from recovery.action_required import LeadAction
from recovery.instruments import UNKNOWN_INSTRUMENT, describe_instrument
from recovery.labels import LEAD_ACTIONS, REQUESTS
from recovery.status import RequestKind
from recovery.wording import format_money

# In the session: the payment and the request that wait for the reader's confirmation.
CONFIRMING = "confirming"
QUESTIONS: dict[RequestKind, str] = {
    RequestKind.RETRY_NOW: "Charge {amount} to {card} now? It happens within a minute.",
    RequestKind.STOP: "Stop recovery of this payment for good? We no longer retry it or write to "
    "the member about it.",
}
CONFIRMATIONS: dict[RequestKind, str] = {
    RequestKind.RETRY_NOW: "Yes, charge it now",
    RequestKind.STOP: "Yes, stop it",
}


def show_detail(settings: DashboardSettings, payment_id: str, kept: Mapping[str, str]) -> None:
    back = render_link("← All payments", address("payments", kept))
    show_html(Markup('<p class="back">{}</p>').format(back))
    refresh(settings, payment_id)


@st.fragment(run_every=banners.REFRESH)
def refresh(settings: DashboardSettings, payment_id: str) -> None:
    at = now()
    detail = for_company(settings, read_detail, payment_id, at)
    if isinstance(detail, Unavailable):
        banners.show_unavailable(detail)
        return
    if detail is None:
        st.warning("This payment does not exist.")
        return
    zone = ZoneInfo(detail.time_zone)
    row = copy_payment(detail.payment, detail.next_step)
    state = describe_state(detail.next_step, at, describe_recovery(row))
    show_html(render_head(detail.payment, row, zone, state))
    show_html(Markup('<p class="summary">{}</p>').format(summarize_payment(detail, at)))
    show_actions(settings, detail)
    st.header("Timeline", anchor=False)
    show_html(render_timeline(list_entries(detail, at), zone))
    st.header("Activity log", anchor=False)
    show_audit_log(detail.entries, zone, with_links=False)


def render_head(payment: Payment, row: PaymentRow, zone: ZoneInfo, state: State) -> Markup:
    facts = {
        "Product": row.product,
        "Email": payment.member_email,
        "Charged to": capitalize(describe_charged(payment)),
        "Failed": format_when(payment.failed_at, zone),
        "Deadline": format_when(payment.window_ends_at, zone),
        "Payment ID": payment.payment_id,
    }
    return fill(
        "views/payments/head.html",
        member=row.member,
        amount=format_money(payment.amount, payment.currency),
        state=render_state(state),
        facts={name: value for name, value in facts.items() if value},
    )


def describe_charged(payment: Payment) -> str:
    """Empty where Whop tells nothing of it."""
    instrument = describe_instrument(
        payment.instrument_name, payment.card_brand, payment.card_last4
    )
    return instrument.name if instrument.is_known else ""


def render_timeline(entries: list[Entry], zone: ZoneInfo) -> Markup:
    timed = [(entry, format_when(entry.at, zone) if entry.timed else SHORTLY) for entry in entries]
    return fill("views/payments/timeline.html", entries=timed, marks=MARKS)


def show_actions(settings: DashboardSettings, detail: PaymentDetail) -> None:
    """No button that cannot act; first the one that helps most."""
    step = detail.next_step
    asked = {RequestKind.RETRY_NOW: step.can_retry, RequestKind.STOP: step.can_stop}
    possible = [kind for kind, can in asked.items() if can]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        show_lead(detail.payment, step.lead)
        for kind in possible:
            leads = kind is RequestKind.RETRY_NOW and step.lead is LeadAction.RETRY
            st.button(
                REQUESTS[kind],
                key=f"ask-{kind}",
                type="primary" if leads else "secondary",
                on_click=consider,
                args=(detail.payment.payment_id, kind),
            )
        preview = st.toggle("Preview email", key="preview")
    payment_id, considered = st.session_state.get(CONFIRMING, (None, None))
    if payment_id == detail.payment.payment_id and considered in possible:
        confirm(settings, detail.payment, considered)
    if preview:
        show_preview(detail)


def show_lead(payment: Payment, lead: LeadAction | None) -> None:
    """What helps and is not done here."""
    if lead is LeadAction.WRITE:
        where = f"mailto:{quote(payment.member_email or '', safe='@')}"
    elif lead is LeadAction.OPEN_ON_WHOP:
        where = f"https://whop.com/dashboard/{quote(payment.company_id, safe='')}/"
    else:
        return
    st.link_button(LEAD_ACTIONS[lead], where, type="primary")


def confirm(settings: DashboardSettings, payment: Payment, kind: RequestKind) -> None:
    amount = format_money(payment.amount, payment.currency)
    card = describe_charged(payment) or f"the {UNKNOWN_INSTRUMENT} on file"
    with st.container(border=True):
        question = QUESTIONS[kind].format(amount=amount, card=card)
        show_html(Markup('<p role="alert">{}</p>').format(question))
        with st.container(horizontal=True, gap="small"):
            st.button(
                CONFIRMATIONS[kind],
                key="confirm",
                type="primary",
                on_click=decide,
                args=(settings, payment, kind),
            )
            st.button("No, leave it", key="leave", on_click=forget)


def decide(settings: DashboardSettings, payment: Payment, kind: RequestKind) -> None:
    """Keeps asking for confirmation if the request could not be stored."""
    if ask(settings, payment, kind, now()) is None:
        forget()


def consider(payment_id: str, kind: RequestKind) -> None:
    st.session_state[CONFIRMING] = (payment_id, kind)


def forget() -> None:
    st.session_state.pop(CONFIRMING, None)


def show_preview(detail: PaymentDetail) -> None:
    step, next_step = choose_step(detail), detail.next_step
    if step is None:
        show_note("Members get no message about this kind of failure.")
        return
    written = write_preview(detail, step, now())
    planned = "" if next_step.message else "No email is planned now; this is how one would read. "
    show_html(
        Markup(
            '<p class="note">{}The email as the member would get it now. Subject: <b>{}</b>. {}</p>'
        ).format(planned, written.subject, describe_link(written))
    )
    # From an address of its own, nothing in the email can reach this page.
    coded = b64encode(written.html.encode()).decode()
    st.iframe(f"data:text/html;charset=utf-8;base64,{coded}", height=520, alt="The email")
