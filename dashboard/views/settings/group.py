"""One group of settings: its form, and what a click on Save does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboard.data.choices import (
    DEFAULTS,
    Choices,
    Group,
    SavedSettings,
    find_faults,
    save_choices,
)
from dashboard.data.database import Unavailable
from dashboard.settings import DashboardSettings
from dashboard.text.lift import describe_cost
from dashboard.text.payments import capitalize
from dashboard.ui import banners
from dashboard.ui.html import show_html, show_note
from dashboard.views.settings.fields import CHOICES, Choice
from db.company_settings.notifications import NotificationSettings
from db.company_settings.validity import ChoiceError
from db.session import now

TITLES: dict[Group, str] = {
    Group.RECOVERY: "General",
    Group.MESSAGING: "Messages to members",
    Group.NOTIFICATIONS: "Notifications",
}
BUTTONS: dict[Group, str] = {
    Group.RECOVERY: "Save general settings",
    Group.MESSAGING: "Save message settings",
    Group.NOTIFICATIONS: "Save notification settings",
}
# From when on all settings of a group apply; empty where each says it for itself.
APPLIES: dict[Group, str] = {
    Group.RECOVERY: "",
    Group.MESSAGING: "Applies to messages sent from now on.",
    Group.NOTIFICATIONS: "Applies to new recoveries only.",
}
# The prefix of the fields' keys.
FIELDS = "choice-"
AWAY = "The database does not answer, so nothing was saved. Please try again."


def show_group(settings: DashboardSettings, saved: SavedSettings, group: Group) -> None:
    kept = saved.kept[group]
    fill_fields(group, kept)
    good, result, faults = st.session_state.pop(f"result-{group}", (True, "", {}))
    # A value that was saved once may be refused by now.
    faults = faults or saved.faults
    st.header(TITLES[group], anchor=False)
    if APPLIES[group]:
        show_note(APPLIES[group])
    if result:
        banners.show_result(good, result)
    with st.form(f"form-{group}"):
        for choice in CHOICES[group]:
            show_choice(saved, group, choice, faults.get(choice.name))
        st.form_submit_button(
            BUTTONS[group],
            type="primary",
            on_click=save,
            args=(settings, saved.company_id, group, kept),
        )
    if isinstance(kept, NotificationSettings) and kept.post_url is not None:
        st.button(
            "Remove the webhook and stop posts",
            key="forget-webhook",
            on_click=forget_webhook,
            args=(settings, saved.company_id),
        )


def show_choice(saved: SavedSettings, group: Group, choice: Choice, fault: str | None) -> None:
    kept = saved.kept[group]
    choice.draw(choice.label, name_field(group, choice), saved.zones)
    if fault:
        show_html(Markup('<p class="warning" role="alert">{}.</p>').format(capitalize(fault)))
    now_kept = ""
    if choice.name == "post_url" and isinstance(kept, NotificationSettings):
        now_kept = f" Current: {kept.describe_post_url()}."
    if choice.name == "holdout_percent":
        now_kept = f" {describe_cost(saved.month)}"
    applies = f" {choice.applies}" if choice.applies else ""
    show_note(f"{choice.effect}{applies} Default: {choice.default}.{now_kept}")


def name_field(group: Group, choice: Choice) -> str:
    return f"{FIELDS}{group}-{choice.name}"


def fill_fields(group: Group, kept: Choices) -> None:
    """With what is saved, at first and whenever that changes; otherwise what is typed stays."""
    state, mark = st.session_state, f"shown-{group}"
    fields = {name_field(group, choice): choice for choice in CHOICES[group]}
    if state.get(mark) == kept and all(name in state for name in fields):
        return
    state[mark] = kept
    for name, choice in fields.items():
        state[name] = choice.to_field(getattr(kept, choice.name))


# --- what a click does -------------------------------------------------------------------------


def save(settings: DashboardSettings, company_id: str, group: Group, shown: Choices) -> None:
    """`shown`: what the reader saw as saved. Only what differs from it is changed."""
    changes = read_changes(group, shown)
    faults = find_faults(replace(shown, **changes), DEFAULTS[group], settings.in_development)
    if faults:
        announce(group, False, "Nothing was saved. See the notes below.", faults)
        return
    try:
        done = save_choices(settings, company_id, group, changes, now())
    except ChoiceError as error:
        # Each value was right when the reader saw it; somebody else has changed what it needs.
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
        announce(Group.NOTIFICATIONS, True, "The webhook is removed, and no more posts are sent.")


def announce(group: Group, good: bool, words: str, faults: dict[str, str] | None = None) -> None:
    st.session_state[f"result-{group}"] = (good, words, faults or {})


def describe_saved(group: Group, names: tuple[str, ...]) -> str:
    if not names:
        return "Nothing to save: no setting was changed."
    changed = [choice for choice in CHOICES[group] if choice.name in names]
    labels = ", ".join(choice.label for choice in changed)
    applies = [APPLIES[group], *(choice.applies for choice in changed)]
    return " ".join(filter(None, [f"Saved: {labels}.", *applies]))
