"""Every choice of a creator's: its label, its effect in words, and how it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from dashboard.data.choices import Group
from db.company_settings.messaging import LARGEST_CAP, LONGEST_NOTE
from db.company_settings.recovery import MOST_HELD_OUT
from recovery.status import Channel

CHANNELS: dict[str, str] = {
    Channel.EMAIL: "E-mail, and Whop's chat where no address is of use",
    Channel.WHOP: "Whop's support chat",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """`default` is said in words. `draw` is given the label and the key."""

    name: str
    label: str
    default: str
    effect: str
    draw: Callable[[str, str], object]

    def to_field(self, value: Any) -> Any:
        """Secrets are never shown: their field begins empty, and empty it changes nothing."""
        return "" if value is None or self.name == "post_url" else value

    def from_field(self, typed: Any) -> Any:
        if isinstance(typed, str) and not isinstance(typed, StrEnum):
            return typed.strip() or None
        return typed


def draw_line(label: str, key: str) -> object:
    return st.text_input(label, key=key)


def draw_secret(label: str, key: str) -> object:
    return st.text_input(label, key=key, type="password", autocomplete="off")


def draw_note(label: str, key: str) -> object:
    return st.text_area(label, key=key, height=100)


def draw_switch(label: str, key: str) -> object:
    return st.toggle(label, key=key)


@lru_cache(maxsize=1)
def list_zones() -> frozenset[str]:
    """Read from hundreds of files, once."""
    return frozenset(available_timezones())


def draw_zone(label: str, key: str) -> object:
    known = list_zones() | {st.session_state[key]}
    return st.selectbox(label, sorted(known), key=key)


def draw_hour(label: str, key: str) -> object:
    return st.selectbox(label, range(24), format_func=lambda hour: f"{hour}:00", key=key)


def draw_channel(label: str, key: str) -> object:
    return st.selectbox(label, list(Channel), format_func=CHANNELS.__getitem__, key=key)


def draw_colour(label: str, key: str) -> object:
    return st.color_picker(label, key=key)


def draw_number(least: int, most: int) -> Callable[[str, str], object]:
    return lambda label, key: st.number_input(label, least, most, step=1, key=key)


RECOVERY = (
    Choice(
        "time_zone",
        "Time zone",
        "UTC",
        "The days and months of the figures, the times members read, and the hours in which we "
        "charge and write.",
        draw_zone,
    ),
    Choice(
        "holdout_percent",
        "Holdout, in percent of the members",
        "0, off",
        "This share is left to Whop alone: we neither charge nor write. It is what tells how much "
        "our work adds. Who is in it is drawn by member and stays the same.",
        draw_number(0, MOST_HELD_OUT),
    ),
    Choice(
        "backup_card",
        "Try another saved card",
        "off",
        "Once the card on file is of no more use, another card that the member has saved is tried, "
        "once.",
        draw_switch,
    ),
)
MESSAGING = (
    Choice("enabled", "Write to members", "on", "Off: no member is written to.", draw_switch),
    Choice("channel", "Channel", "e-mail", "Where members are written to.", draw_channel),
    Choice(
        "sender_name",
        "Sender's name",
        "your company's name at Whop",
        "Who writes: in the first line, and as the sender.",
        draw_line,
    ),
    Choice(
        "reply_to",
        "Answers go to",
        "the sending address",
        "One e-mail address. Somebody should read what members answer.",
        draw_line,
    ),
    Choice(
        "accent",
        "Colour",
        "#1f5eff",
        "The button's. The words on it are white or black, whichever can be read.",
        draw_colour,
    ),
    Choice(
        "note",
        "Your own words at the end",
        "none",
        f"After the payment's details, up to {LONGEST_NOTE} characters.",
        draw_note,
    ),
    Choice(
        "quiet_from",
        "Quiet from",
        "21:00",
        "From here on no message is sent, by your time zone. The same hour twice: no quiet hours.",
        draw_hour,
    ),
    Choice("quiet_until", "Quiet until", "8:00", "From here on messages are sent.", draw_hour),
    Choice(
        "daily_cap",
        "Messages a day at most",
        "500",
        "What is over waits for the next day of your time zone.",
        draw_number(1, LARGEST_CAP),
    ),
)
NOTIFICATIONS = (
    Choice("digest_to", "The digest goes to", "none", "One e-mail address of yours.", draw_line),
    Choice(
        "digest",
        "Weekly digest",
        "off",
        "A mail each Monday morning about the week before. It needs an address.",
        draw_switch,
    ),
    Choice(
        "post_url",
        "Discord or Slack webhook",
        "none",
        "Where posts go. It is a secret: it is kept, and never shown again. Left empty, the one "
        "that is kept stays.",
        draw_secret,
    ),
    Choice(
        "on_recovery",
        "Post recoveries",
        "off",
        "A post about recovered payments. It needs a webhook.",
        draw_switch,
    ),
    Choice(
        "on_problem",
        "Post troubles",
        "off",
        "A post when something is wrong, and when it is over. It needs a webhook.",
        draw_switch,
    ),
)
CHOICES: dict[Group, tuple[Choice, ...]] = {
    Group.RECOVERY: RECOVERY,
    Group.MESSAGING: MESSAGING,
    Group.NOTIFICATIONS: NOTIFICATIONS,
}
