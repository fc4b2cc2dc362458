"""Saves a company's own templates, after checking them with every kind of message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from db.company_settings.messaging import DEFAULT_MESSAGING_SETTINGS
from db.company_settings.templates import OwnTemplate, store_template
from db.member_messages.message_context import MessageContext
from mail.context import MOST_OTHERS, Destination, choose_words
from mail.html_allowlist import check_markup
from mail.rendering import BrokenTemplateError, Form, compile_source, fill
from mail.samples import DESTINATION, make_sample
from recovery.declines import DeclineClass
from recovery.status import Step

LIMITS = {"subject": 200, "text": 10_000, "html": 20_000}


def save_template(
    session: Session,
    company_id: str,
    step: Step,
    subject: str,
    text: str,
    html: str,
    actor: str,
    now: datetime,
) -> bool:
    """Raises BrokenTemplateError, and then saves nothing. False: it is saved already."""
    template = OwnTemplate(subject, text, html)
    check_template(step, template)
    return store_template(session, company_id, step, template, actor, now)


def check_template(step: Step, template: OwnTemplate) -> None:
    """Raises BrokenTemplateError. Its text begins with the part: subject, text or html."""
    for part, source in (
        ("subject", template.subject),
        ("text", template.text),
        ("html", template.html),
    ):
        try:
            check_part(part, source, step)
        except BrokenTemplateError as error:
            raise BrokenTemplateError(None, f"{part}, {error}") from None


def check_part(part: str, source: str, step: Step) -> None:
    if not source.strip():
        raise BrokenTemplateError(None, "it must not be empty")
    if len(source) > LIMITS[part]:
        raise BrokenTemplateError(
            None, f"it has {len(source):,} characters; the limit is {LIMITS[part]:,}"
        )
    if part == "subject" and len(source.splitlines()) > 1:
        raise BrokenTemplateError(2, "a subject has one line only")
    form: Form = "html" if part == "html" else "text"
    compile_source(source, form)
    if form == "html":
        check_markup(source)
    for context, destination in list_samples(step):
        result = fill(source, form, choose_words(context, destination, DEFAULT_MESSAGING_SETTINGS))
        if form == "html":
            check_markup(result)


def list_samples(step: Step) -> Iterator[tuple[MessageContext, Destination]]:
    """Samples for every decline class: one with every value, one with as few as possible."""
    for decline_class in DeclineClass:
        full = make_sample(step, decline_class, others=MOST_OTHERS)
        yield replace(full, next_retry_at=full.window_ends_at), DESTINATION
        yield (
            replace(full, member_name=None, product=None, next_retry_at=None, others=()),
            Destination(DESTINATION.manage_url),
        )
