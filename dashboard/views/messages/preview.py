"""A message as a member gets it: an email on a phone and a desktop, plain text, or a chat."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import streamlit as st
from markupsafe import Markup

from dashboard.data.messages import MessagePage
from dashboard.ui.html import show_html, show_note
from dashboard.views.payments.mail_preview import describe_link
from db.company_settings.templates import OwnTemplate
from db.member_messages.message_context import MessageContext, describe_context
from mail.messages import Destination, write, write_chat
from mail.samples import DESTINATION, make_sample
from recovery.declines import DeclineClass
from recovery.labels import CHANNELS
from recovery.status import Channel, Step
from recovery.wording import format_money
from whop.memberships import MEMBERSHIPS_PAGE

WIDTHS = {"phone": ("On a phone", 390), "desk": ("On a desktop", 640)}
HEIGHT = 640
SUBJECT = Markup("<p>Subject: <b>{}</b></p>")
WITH_EVERY_MAIL = Markup(
    '<p class="note">Part of every email, for email apps that show no HTML.</p>'
)


def show_message(
    page: MessagePage, step: Step, decline_class: DeclineClass, words: OwnTemplate | None
) -> None:
    """`words`: the template; None: the default one."""
    context, destination = choose_message(page, step, decline_class)
    written = write(context, destination, page.messaging, words)
    chat = write_chat(context, destination, page.messaging, words)
    show_note(f"{describe_source(page)} {describe_link(written)}")
    as_mail, as_text, as_chat = st.tabs(
        [CHANNELS[Channel.EMAIL], "Plain text", CHANNELS[Channel.WHOP]]
    )
    with as_mail:
        show_html(SUBJECT.format(written.subject))
        with st.container(horizontal=True, gap="medium"):
            for name, (label, width) in WIDTHS.items():
                show_mail(name, label, width, written.html)
    with as_text:
        show_html(WITH_EVERY_MAIL + SUBJECT.format(written.subject))
        st.code(written.text, language=None, wrap_lines=True)
    with as_chat:
        show_note("As sent to Whop, in Markdown.")
        st.code(chat, language=None, wrap_lines=True)


def show_mail(name: str, label: str, width: int, html: str) -> None:
    with st.container(key=f"mail-{name}", width=width):
        show_note(f"{label}, {width} pixels wide")
        # From an address of its own, nothing in the email can reach this page.
        coded = b64encode(html.encode()).decode()
        st.iframe(
            f"data:text/html;charset=utf-8;base64,{coded}",
            width=width,
            height=HEIGHT,
            alt=f"The email {label.lower()}",
        )


def choose_message(
    page: MessagePage, step: Step, decline_class: DeclineClass
) -> tuple[MessageContext, Destination]:
    payment = page.payment
    if payment is None:
        sample = replace(make_sample(step, decline_class), time_zone=page.time_zone)
        return sample, replace(DESTINATION, seller=page.seller or DESTINATION.seller)
    context = describe_context(step, payment, page.time_zone, page.as_of)
    return context, Destination(MEMBERSHIPS_PAGE, page.seller)


def describe_source(page: MessagePage) -> str:
    payment = page.payment
    if payment is None:
        return "Sample data: none of your newest payments failed for this reason."
    member = payment.member_name or payment.payment_id
    amount = format_money(payment.amount, payment.currency)
    return f"Shown for your newest payment that failed for this reason: {member}, {amount}."
