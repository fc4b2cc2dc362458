"""Every setting of a creator: its default, its effect in words, and its input field."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import streamlit as st

from dashboard.data.choices import Group
from dashboard.text.settings import SETTINGS
from db.company_settings.messaging import CHANNEL_CHOICES, LARGEST_CAP, LONGEST_NOTE
from db.company_settings.recovery import MOST_HELD_OUT
from recovery.status import Channel

Draw: TypeAlias = Callable[[str, str, Collection[str]], object]


@dataclass(frozen=True, slots=True)
class Choice:
    """`default` in words; `applies`: from when on, where the group does not say it for all.
    `draw` gets the label, the key, and the time zones there are."""

    name: str
    default: str
    effect: str
    draw: Draw
    applies: str = ""

    @property
    def label(self) -> str:
        return SETTINGS[self.name]

    def to_field(self, value: Any) -> Any:
        """A secret is never shown: its field starts empty, and left empty it changes nothing."""
        return "" if value is None or self.name == "post_url" else value

    def from_field(self, typed: Any) -> Any:
        if isinstance(typed, str) and not isinstance(typed, StrEnum):
            return typed.strip() or None
        return typed


def draw_line(label: str, key: str, _: Collection[str]) -> object:
    return st.text_input(label, key=key)


def draw_secret(label: str, key: str, _: Collection[str]) -> object:
    return st.text_input(label, key=key, type="password", autocomplete="off")


def draw_note(label: str, key: str, _: Collection[str]) -> object:
    return st.text_area(label, key=key, height=100)


def draw_switch(label: str, key: str, _: Collection[str]) -> object:
    return st.toggle(label, key=key)


def draw_zone(label: str, key: str, zones: Collection[str]) -> object:
    return st.selectbox(label, sorted(zones), key=key)


def draw_hour(label: str, key: str, _: Collection[str]) -> object:
    return st.selectbox(label, range(24), format_func=lambda hour: f"{hour}:00", key=key)


def draw_channel(label: str, key: str, _: Collection[str]) -> object:
    return st.selectbox(label, list(Channel), format_func=CHANNEL_CHOICES.__getitem__, key=key)


def draw_colour(label: str, key: str, _: Collection[str]) -> object:
    return st.color_picker(label, key=key)


def draw_number(least: int, most: int) -> Draw:
    return lambda label, key, _: st.number_input(label, least, most, step=1, key=key)


RECOVERY = (
    Choice(
        "time_zone",
        "UTC",
        "The time zone of your figures, of the times in messages, and of the hours in which we "
        "retry payments and send messages.",
        draw_zone,
        applies="Figures follow at once; scheduled retries keep their time.",
    ),
    Choice(
        "holdout_percent",
        "0, off",
        "The percentage of members left to Whop alone: no retry and no message from us. Comparing "
        "them with the others measures our impact. Members are picked at random, once.",
        draw_number(0, MOST_HELD_OUT),
        applies="Applies to payments that fail from now on.",
    ),
    Choice(
        "backup_card",
        "off",
        "If the card on file can't be charged, try the member's backup card once.",
        draw_switch,
        applies="Applies when the next retry of a payment is planned.",
    ),
    Choice(
        "explores",
        "off",
        "One retry in five is made at another hour of the same day that is as good by all we know. "
        "Only so can it be learned which hours are better. Every other rule holds.",
        draw_switch,
        applies="Applies when the next retry of a payment is planned.",
    ),
)
MESSAGING = (
    Choice("enabled", "on", "Off: no messages are sent to members.", draw_switch),
    Choice("channel", "email", "How members are contacted.", draw_channel),
    Choice(
        "sender_name",
        "your company's name on Whop",
        "The sender, and the name in the first line.",
        draw_line,
    ),
    Choice(
        "reply_to",
        "the sending address",
        "Replies from members go to this email address. Make sure somebody reads them.",
        draw_line,
    ),
    Choice(
        "accent",
        "#1f5eff",
        "The text on the button is black or white, whichever is easier to read.",
        draw_colour,
    ),
    Choice(
        "note",
        "none",
        f"Your own words below the payment details, up to {LONGEST_NOTE} characters.",
        draw_note,
    ),
    Choice(
        "quiet_from",
        "21:00",
        "No messages are sent from this hour on, in your time zone. For no quiet hours, choose "
        "the same start and end.",
        draw_hour,
    ),
    Choice("quiet_until", "8:00", "Messages are sent again from this hour on.", draw_hour),
    Choice(
        "daily_cap",
        "500",
        "The most messages a day. Extra messages wait until tomorrow.",
        draw_number(1, LARGEST_CAP),
    ),
)
NOTIFICATIONS = (
    Choice("digest_to", "none", "Your email address for the weekly digest.", draw_line),
    Choice(
        "digest",
        "off",
        "An email each Monday morning about the past week. Needs a digest address.",
        draw_switch,
    ),
    Choice(
        "post_url",
        "none",
        "Where posts are sent. The address is a secret and is never shown again. Leave this empty "
        "to keep the current one.",
        draw_secret,
    ),
    Choice(
        "on_recovery", "off", "A post when payments are recovered. Needs a webhook.", draw_switch
    ),
    Choice(
        "on_problem",
        "off",
        "A post when something goes wrong, and when it is fixed. Needs a webhook.",
        draw_switch,
    ),
)
CHOICES: dict[Group, tuple[Choice, ...]] = {
    Group.RECOVERY: RECOVERY,
    Group.MESSAGING: MESSAGING,
    Group.NOTIFICATIONS: NOTIFICATIONS,
}
