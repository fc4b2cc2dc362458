"""Renders a message to a member: an email in text and HTML, or Markdown for Whop's chat.

A message has two layers: the step's template (mail/emails/STEP.*, or the company's own), and the
layout around it, which no company can change: the sender, the button, the payment, and the
unsubscribe link.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from db.company_settings.messaging import DEFAULT_MESSAGING_SETTINGS, MessagingSettings
from db.company_settings.templates import OwnTemplate
from db.member_messages.message_context import MessageContext
from mail.colours import choose_edge, choose_ink
from mail.context import Destination, Words, choose_words, find_instrument
from mail.html_allowlist import check_markup
from mail.markdown import escape_markdown, escape_words
from mail.rendering import BrokenTemplateError, fill
from recovery.declines import DeclineClass
from recovery.instruments import CARD, Instrument
from recovery.status import Step
from recovery.wording import make_plain

__all__ = ["Destination", "RenderedMessage", "write", "write_chat"]

log = logging.getLogger(__name__)

EMAILS = Path(__file__).parent / "emails"
LONGEST_SUBJECT = 150
SUBJECTS = {
    Step.PAYMENT_FAILED: "Your payment for {{ product }} didn't go through",
    Step.REMINDER: "Still open: your payment for {{ product }}",
    Step.LAST_DAY: "One day left to keep {{ product }}",
    Step.NOTICE: "Your payment for {{ product }} did not go through",
}
# Replaces the first email's subject if only another card, or another way to pay, helps. With other
# declines it would ask for something that the body says is not needed.
UPDATE_CARD = "Your payment failed — click here to update your card"
UPDATE_METHOD = "Your payment failed — click here to update how you pay"
OURS = {
    step: OwnTemplate(
        SUBJECTS[step],
        (EMAILS / f"{step}.txt").read_text(),
        (EMAILS / f"{step}.html").read_text(),
    )
    for step in Step
}
layouts = Environment(
    loader=FileSystemLoader(EMAILS),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    subject: str
    text: str
    html: str


def write(
    context: MessageContext,
    destination: Destination,
    messaging: MessagingSettings = DEFAULT_MESSAGING_SETTINGS,
    template: OwnTemplate | None = None,
    unsubscribe_url: str | None = None,
) -> RenderedMessage:
    """Renders the email. It never contains the bank's reason."""
    words = choose_words(context, destination, messaging)
    filled = fill_step(context, words, template)
    subject = make_plain(filled.subject, LONGEST_SUBJECT)
    frame = words | {
        "subject": subject,
        "details": list_details(context, words),
        "note": messaging.note,
        "unsubscribe_url": unsubscribe_url,
    }
    look = {
        "accent": messaging.accent,
        "ink": choose_ink(messaging.accent),
        "edge": choose_edge(messaging.accent),
    }
    body = Markup(filled.html)  # noqa: S704 - fill_step has escaped the words and checked the rest
    return RenderedMessage(
        subject,
        layouts.get_template("layout.txt").render(frame, body=filled.text.strip()),
        layouts.get_template("layout.html").render(frame | look, body=body),
    )


def write_chat(
    context: MessageContext,
    destination: Destination,
    messaging: MessagingSettings = DEFAULT_MESSAGING_SETTINGS,
    template: OwnTemplate | None = None,
) -> str:
    """Renders Markdown for Whop's support chat."""
    words = escape_words(choose_words(context, destination, messaging))
    filled = fill_step(context, words, template)
    return layouts.get_template("layout.md").render(
        words,
        body=filled.text.strip(),
        details=list_details(context, words),
        note=None if messaging.note is None else escape_markdown(messaging.note),
    )


def fill_step(context: MessageContext, words: Words, template: OwnTemplate | None) -> OwnTemplate:
    """Fills the company's template. If that no longer works, ours is used instead."""
    if template is not None:
        try:
            return fill_template(choose_subject(context, template), words)
        except BrokenTemplateError as error:
            log.warning(
                "company %s: its own %s template failed for payment %s, so ours was used: %s",
                context.company_id,
                context.step,
                context.payment_id,
                error,
            )
    return fill_template(choose_subject(context, OURS[Step(context.step)]), words)


def choose_subject(context: MessageContext, template: OwnTemplate) -> OwnTemplate:
    """A creator who has changed the body alone has chosen no other subject."""
    if template.subject == SUBJECTS[Step.PAYMENT_FAILED]:
        if context.decline_class is DeclineClass.CARD:
            is_card = find_instrument(context).is_card
            return replace(template, subject=UPDATE_CARD if is_card else UPDATE_METHOD)
    elif template.subject == SUBJECTS[Step.LAST_DAY] and context.membership_id is None:
        return replace(template, subject=SUBJECTS[Step.REMINDER])
    return template


def fill_template(template: OwnTemplate, words: Words) -> OwnTemplate:
    """Raises BrokenTemplateError."""
    filled = OwnTemplate(
        fill(template.subject, "text", words),
        fill(template.text, "text", words),
        fill(template.html, "html", words),
    )
    check_markup(filled.html)
    return filled


def list_details(context: MessageContext, words: Words) -> list[tuple[str, str]]:
    """The payment's details. Missing values are left out."""
    instrument = find_instrument(context)
    # From the words, which are escaped where the chat needs it.
    name = str(words["card"]).removeprefix("your ") if is_detail(instrument) else None
    rows = (
        ("Membership" if context.membership_id is not None else "For", words["product"]),
        ("Amount", words["amount"]),
        ("Card" if instrument.is_card else "Method", name),
        ("Next try", words["next_try"]),
        ("Ends", words["ends"] if context.step != Step.NOTICE else None),
    )
    return [(name, str(value)) for name, value in rows if value]


def is_detail(instrument: Instrument) -> bool:
    """That it is some card, or something unknown, is none."""
    return instrument.is_known and instrument.name != CARD
