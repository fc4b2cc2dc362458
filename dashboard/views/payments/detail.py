"""One payment in detail: its state, its timeline, and what the creator can do."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable, for_company
from dashboard.data.overview import copy_payment
from dashboard.data.payments import ask, read_detail
from dashboard.settings import DashboardSettings
from dashboard.text.payment_summary import summarize_payment
from dashboard.text.payments import MARKS, State, capitalize, describe_state, format_when
from dashboard.text.timeline import Entry, list_entries
from dashboard.ui import banners
from dashboard.ui.audit_list import show_audit_log
from dashboard.ui.html import fill, show_html, show_note
from dashboard.ui.links import address, render_link
from dashboard.ui.state import render_state
from dashboard.views.payments.mail_preview import choose_step, describe_link, write_preview
from db.models import Payment
from db.reporting.payment_detail import PaymentDetail
from db.session import now
from recovery.labels import REQUESTS
from recovery.money import format_money
from recovery.status import UNPAID, RequestKind
from recovery.wording import name_brand

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
    state = describe_state(copy_payment(detail.payment, detail.need), at)
    show_html(render_head(detail.payment, zone, state))
    show_html(Markup('<p class="summary">{}</p>').format(summarize_payment(detail, at)))
    show_actions(settings, detail)
    st.header("Timeline", anchor=False)
    show_html(render_timeline(list_entries(detail, at), zone))
    st.header("Activity log", anchor=False)
    show_audit_log(detail.entries, zone, with_links=False)


def render_head(payment: Payment, zone: ZoneInfo, state: State) -> Markup:
    facts = {
        "Product": payment.product,
        "Email": payment.member_email,
        "Card": describe_card(payment),
        "Failed": format_when(payment.failed_at, zone),
        "Deadline": format_when(payment.window_ends_at, zone),
        "Payment ID": payment.payment_id,
    }
    return fill(
        "views/payments/head.html",
        member=payment.member_name or payment.member_email or payment.member_id or "Unknown",
        amount=format_money(payment.amount, payment.currency),
        state=render_state(state),
        facts={name: value for name, value in facts.items() if value},
    )


def describe_card(payment: Payment) -> str:
    if payment.card_last4 is None:
        return ""
    return f"{name_brand(payment.card_brand or 'card')} ending in {payment.card_last4}"


def render_timeline(entries: list[Entry], zone: ZoneInfo) -> Markup:
    timed = [(entry, format_when(entry.at, zone)) for entry in entries]
    return fill("views/payments/timeline.html", entries=timed, marks=MARKS)


def show_actions(settings: DashboardSettings, detail: PaymentDetail) -> None:
    """No button that could never act: a payment that is over has none."""
    refusals = {RequestKind.RETRY_NOW: detail.cannot_retry, RequestKind.STOP: detail.cannot_stop}
    if detail.payment.status not in UNPAID:
        refusals.clear()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for kind, refusal in refusals.items():
            st.button(
                REQUESTS[kind],
                key=f"ask-{kind}",
                disabled=refusal is not None,
                type="primary" if kind is RequestKind.RETRY_NOW else "secondary",
                on_click=consider,
                args=(detail.payment.payment_id, kind),
            )
        preview = st.toggle("Preview email", key="preview")
    if any(refusals.values()):
        show_note(describe_refusals(refusals))
    payment_id, considered = st.session_state.get(CONFIRMING, (None, None))
    is_possible = considered in refusals and not refusals[considered]
    if payment_id == detail.payment.payment_id and is_possible:
        confirm(settings, detail.payment, considered)
    if preview:
        show_preview(detail)


def describe_refusals(refusals: Mapping[RequestKind, str | None]) -> str:
    """Why a button is disabled; said once where it is the same for all."""
    if len(set(refusals.values())) == 1:
        (refusal,) = set(refusals.values())
        return f"{capitalize(str(refusal))}."
    return " ".join(
        f"{REQUESTS[kind]}: {refusal}." for kind, refusal in refusals.items() if refusal
    )


def confirm(settings: DashboardSettings, payment: Payment, kind: RequestKind) -> None:
    amount = format_money(payment.amount, payment.currency)
    card = describe_card(payment) or "the card on file"
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
    step = choose_step(detail)
    if step is None:
        show_note("Members get no message about this kind of failure.")
        return
    written = write_preview(detail, step)
    show_html(
        Markup(
            '<p class="note">The email as the member would get it now. Subject: <b>{}</b>. {}</p>'
        ).format(written.subject, describe_link(written))
    )
    # From an address of its own, nothing in the email can reach this page.
    coded = b64encode(written.html.encode()).decode()
    st.iframe(f"data:text/html;charset=utf-8;base64,{coded}", height=520, alt="The email")
