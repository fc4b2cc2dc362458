"""A group of choices: its form, and what a click on Save does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboard.data.choices import DEFAULTS, Choices, Chosen, Group, find_faults, save_choices
from dashboard.data.database import Unavailable
from dashboard.settings import DashboardSettings
from dashboard.ui import banners
from dashboard.ui.html import show_html, show_note
from dashboard.views.settings.fields import CHOICES, Choice
from db.company_settings.notifications import NotificationSettings
from db.company_settings.recovery import ChoiceError
from db.session import now

HEADS: dict[Group, tuple[str, str]] = {
    Group.RECOVERY: (
        "Figures and charges",
        "The time zone holds for the figures at once, and a retry that is planned keeps its time. "
        "The holdout holds for payments that fail from now on, the other card from the next "
        "decision about each payment.",
    ),
    Group.MESSAGING: ("Messages to members", "All of it holds for what is sent from now on."),
    Group.NOTIFICATIONS: (
        "What you are told",
        "It holds from now on: recoveries from before are not told of.",
    ),
}
FIELDS = "choice-"
"""How the keys of the fields begin."""
AWAY = "The database does not answer. Nothing was saved."


def show_group(settings: DashboardSettings, chosen: Chosen, group: Group) -> None:
    title, since = HEADS[group]
    kept = chosen.kept[group]
    fill_fields(group, kept)
    good, told, faults = st.session_state.pop(f"told-{group}", (True, "", {}))
    # What was kept once may be none that is taken by now.
    faults = faults or find_faults(kept, DEFAULTS[group], settings.in_development)
    st.header(title, anchor=False)
    show_note(since)
    if told:
        banners.show_result(good, told)
    with st.form(f"form-{group}"):
        for choice in CHOICES[group]:
            show_choice(group, choice, kept, faults.get(choice.name))
        st.form_submit_button(
            f"Save: {title.lower()}",
            type="primary",
            on_click=save,
            args=(settings, chosen.company_id, group, kept),
        )
    if isinstance(kept, NotificationSettings) and kept.post_url is not None:
        st.button(
            "Forget the webhook and stop posts",
            key="forget-webhook",
            on_click=forget_webhook,
            args=(settings, chosen.company_id),
        )


def show_choice(group: Group, choice: Choice, kept: Choices, fault: str | None) -> None:
    choice.draw(choice.label, name_field(group, choice))
    if fault:
        words = fault[:1].upper() + fault[1:]
        show_html(Markup('<p class="amiss" role="alert">{}.</p>').format(words))
    now_kept = ""
    if choice.name == "post_url" and isinstance(kept, NotificationSettings):
        now_kept = f" Kept now: {kept.describe_post_url()}."
    show_note(f"{choice.effect} Default: {choice.default}.{now_kept}")


def name_field(group: Group, choice: Choice) -> str:
    return f"{FIELDS}{group}-{choice.name}"


def fill_fields(group: Group, kept: Choices) -> None:
    """From what is kept, at first and whenever that has changed; else what is typed stays."""
    state, mark = st.session_state, f"shown-{group}"
    fields = {name_field(group, choice): choice for choice in CHOICES[group]}
    if state.get(mark) == kept and all(name in state for name in fields):
        return
    state[mark] = kept
    for name, choice in fields.items():
        state[name] = choice.to_field(getattr(kept, choice.name))


# --- what a click does -------------------------------------------------------------------------


def save(settings: DashboardSettings, company_id: str, group: Group, shown: Choices) -> None:
    """`shown`: what the reader saw kept. Only what differs from it is changed."""
    changes = read_changes(group, shown)
    faults = find_faults(replace(shown, **changes), DEFAULTS[group], settings.in_development)
    if faults:
        announce(group, False, "Nothing was saved: see below.", faults)
        return
    try:
        done = save_choices(settings, company_id, group, changes, now())
    except ChoiceError as error:
        # Each was right by what the reader saw; somebody else has changed what it needs.
        announce(group, False, f"Nothing was saved: {error}.")
        return
    if isinstance(done, Unavailable):
        announce(group, False, AWAY)
    else:
        announce(group, True, describe_saved(group, done))


def read_changes(group: Group, shown: Choices) -> dict[str, Any]:
    typed = {
        choice.name: choice.from_field(st.session_state[name_field(group, choice)])
        for choice in CHOICES[group]
    }
    if typed.get("post_url") is None:
        typed.pop("post_url", None)
    return {name: value for name, value in typed.items() if value != getattr(shown, name)}


def forget_webhook(settings: DashboardSettings, company_id: str) -> None:
    changes = {"post_url": None, "on_recovery": False, "on_problem": False}
    done = save_choices(settings, company_id, Group.NOTIFICATIONS, changes, now())
    if isinstance(done, Unavailable):
        announce(Group.NOTIFICATIONS, False, AWAY)
    else:
        announce(Group.NOTIFICATIONS, True, "The webhook is forgotten. Nothing is posted any more.")


def announce(group: Group, good: bool, words: str, faults: dict[str, str] | None = None) -> None:
    st.session_state[f"told-{group}"] = (good, words, faults or {})


def describe_saved(group: Group, names: tuple[str, ...]) -> str:
    if not names:
        return "Nothing was changed."
    labels = [choice.label for choice in CHOICES[group] if choice.name in names]
    return f"Saved: {', '.join(labels)}. {HEADS[group][1]}"
