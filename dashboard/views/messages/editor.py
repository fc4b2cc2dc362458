"""The editor of one message. What is typed is checked at once, and saved only when it works."""

from __future__ import annotations

import re
from dataclasses import asdict

import streamlit as st
from markupsafe import Markup

from dashboard.data.database import Unavailable
from dashboard.data.messages import MessagePage, restore_words, save_words
from dashboard.settings import DashboardSettings
from dashboard.ui import banners
from dashboard.ui.html import show_html, show_note
from db.company_settings.templates import OwnTemplate
from db.session import now
from mail.messages import OURS
from mail.rendering import FILTERS, NAMES, BrokenTemplateError
from mail.templates import check_part
from recovery.status import Step

PARTS = {"subject": "Subject", "text": "Plain text and chat", "html": "HTML"}
# The prefix of the fields' keys.
FIELDS = "words-"
# In the session: the step whose reset waits for the reader's confirmation.
RESTORING = "restoring"
RESULT = "editor-result"
LINE = re.compile(r"line (\d+): ")
AWAY = "The database does not answer, so nothing was changed. Please try again."


def show_editor(settings: DashboardSettings, page: MessagePage, step: Step) -> OwnTemplate | None:
    """The words to preview: the typed ones if they work, else those that are sent."""
    if page.company_id is None:
        show_note("You can edit messages once a company is connected.")
        return None
    saved = page.own or OURS[step]
    fill_fields(step, saved)
    show_result()
    with st.expander("Edit", key="editor"):
        draft = show_fields(step)
        show_buttons(settings, page, step)
        broken = show_faults(draft, step)
    if draft != saved:
        shown = "what is sent until the errors are fixed" if broken else "your changes"
        show_note(f"Not saved yet. The preview below shows {shown}.")
    elif broken:
        show_html(
            Markup(
                '<p class="warning" role="alert">Your text has an error, so the default template '
                "is sent instead. Open Edit above to see why.</p>"
            )
        )
    return page.own if broken or draft == saved else draft


def fill_fields(step: Step, saved: OwnTemplate) -> None:
    """With what is saved, at first and whenever that changes; what is typed since stays."""
    state, mark = st.session_state, f"shown-{step}"
    missing = any(name_field(step, part) not in state for part in PARTS)
    if missing or (state.get(mark) != saved and read_draft(step) == state.get(mark)):
        state.update({name_field(step, part): words for part, words in asdict(saved).items()})
    state[mark] = saved


def name_field(step: Step, part: str) -> str:
    return f"{FIELDS}{step}-{part}"


def read_draft(step: Step) -> OwnTemplate:
    return OwnTemplate(**{part: st.session_state[name_field(step, part)] for part in PARTS})


def show_fields(step: Step) -> OwnTemplate:
    """Returns the typed words."""
    for part, label in PARTS.items():
        key = name_field(step, part)
        if part == "subject":
            st.text_input(label, key=key)
        else:
            st.text_area(label, key=key, height=260)
    filters = ", ".join(FILTERS)
    show_note(
        f"Placeholders go in double braces, such as {{{{ name }}}}: {', '.join(NAMES.split())}. "
        f"Conditions such as {{% if next_try %}} … {{% endif %}} and the filters {filters} work "
        "too. The sender, the button, the payment details and the unsubscribe link are added to "
        "it. Plain text and HTML are separate: edit both."
    )
    return read_draft(step)


def show_faults(draft: OwnTemplate, step: Step) -> bool:
    """Whether any part cannot be sent. Drawn below the buttons: an error that appears above Save
    when its field is left would move the button away from under the click."""
    broken = False
    for part, label in PARTS.items():
        typed = getattr(draft, part)
        if fault := find_fault(part, typed, step):
            broken = True
            show_html(render_fault(label, fault, typed))
    return broken


def find_fault(part: str, typed: str, step: Step) -> str | None:
    try:
        check_part(part, typed, step)
    except BrokenTemplateError as error:
        return str(error)
    return None


def render_fault(label: str, fault: str, typed: str) -> Markup:
    """With the line itself: the field shows no line numbers."""
    found, lines = LINE.match(fault), typed.splitlines()
    at = int(found[1]) if found else 0
    quoted = Markup("")
    if 0 < at <= len(lines):
        quoted = Markup("<br><code>{}</code>").format(lines[at - 1].strip())
    where = f"{label}{', ' if found else ': '}"
    return Markup('<p class="warning" role="alert">{}{}{}</p>').format(where, fault, quoted)


def show_buttons(settings: DashboardSettings, page: MessagePage, step: Step) -> None:
    with st.container(horizontal=True, gap="small"):
        arguments = (settings, page, step)
        st.button("Save", key="save-words", type="primary", on_click=save, args=arguments)
        st.button("Undo changes", key="undo-words", on_click=forget_fields, args=(step,))
        st.button(
            "Reset to default",
            key="restore-words",
            disabled=page.own is None,
            on_click=consider,
            args=(step,),
        )
    if st.session_state.get(RESTORING) == step and page.own is not None:
        confirm(settings, page, step)


def confirm(settings: DashboardSettings, page: MessagePage, step: Step) -> None:
    with st.container(border=True):
        show_html(
            Markup('<p role="alert">Reset to the default template? Your text is deleted.</p>')
        )
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Yes, reset",
                key="confirm-restore",
                type="primary",
                on_click=restore,
                args=(settings, page.company_id, step),
            )
            st.button("No, keep mine", key="keep-words", on_click=consider, args=(None,))


# --- what a click does -------------------------------------------------------------------------


def save(settings: DashboardSettings, page: MessagePage, step: Step) -> None:
    draft = read_draft(step)
    if draft == (page.own or OURS[step]):
        announce(True, "Nothing to save: the text was not changed.")
        return
    assert page.company_id is not None
    try:
        refused = save_words(settings, page.company_id, step, draft, now())
    except BrokenTemplateError:
        announce(False, "Nothing was saved. See the notes below.")
        return
    said = "Saved. Your text is used from the next message on."
    announce(refused is None, AWAY if isinstance(refused, Unavailable) else said)


def restore(settings: DashboardSettings, company_id: str, step: Step) -> None:
    consider(None)
    if isinstance(restore_words(settings, company_id, step, now()), Unavailable):
        announce(False, AWAY)
        return
    forget_fields(step)
    announce(True, "The default template is used again, from the next message on.")


def consider(step: Step | None) -> None:
    st.session_state[RESTORING] = step


def forget_fields(step: Step) -> None:
    for part in PARTS:
        st.session_state.pop(name_field(step, part), None)


def announce(good: bool, words: str) -> None:
    st.session_state[RESULT] = (good, words)


def show_result() -> None:
    """Once: it is about the last click only."""
    good, words = st.session_state.pop(RESULT, (True, ""))
    if words:
        banners.show_result(good, words)
