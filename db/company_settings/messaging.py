"""How a company writes to its members. docs/creators/wording.md explains each setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.company_settings.addresses import is_address
from db.company_settings.changes import Changes, record_changes
from db.company_settings.recovery import lock_company
from db.company_settings.validity import ChoiceError, keep_valid, read_group
from db.models import Company
from recovery.labels import CHANNELS
from recovery.status import Channel
from recovery.wording import find_hidden

KEY = "messaging"
LONGEST_NAME = 80
LONGEST_NOTE = 500
LARGEST_CAP = 100_000
LONGEST_ADDRESS = 254
COLOUR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)


# How members are written to, as the settings page and the command say it.
CHANNEL_CHOICES = {
    Channel.EMAIL: f"{CHANNELS[Channel.EMAIL]}, or {CHANNELS[Channel.WHOP]} without a working "
    "address",
    Channel.WHOP: CHANNELS[Channel.WHOP],
}


@dataclass(frozen=True, slots=True)
class MessagingSettings:
    """`quiet_from` and `quiet_until` are hours in the company's time zone; equal ones mean no quiet
    hours. `daily_cap` counts messages per day of that time zone."""

    sender_name: str | None = None
    reply_to: str | None = None
    accent: str = "#1f5eff"
    note: str | None = None
    quiet_from: int = 21
    quiet_until: int = 8
    daily_cap: int = 500
    channel: Channel = Channel.EMAIL
    enabled: bool = True

    def check(self) -> None:
        """Raises ChoiceError."""
        check_line("the sender name", self.sender_name, LONGEST_NAME)
        if self.reply_to is not None:
            check_line("the reply-to address", self.reply_to, LONGEST_ADDRESS)
            if not is_address(self.reply_to):
                raise ChoiceError(
                    "the reply-to address must be one email address, such as help@example.com"
                )
        check_line("the closing note", self.note, LONGEST_NOTE, allowed="\n")
        if COLOUR.fullmatch(self.accent) is None:
            raise ChoiceError(
                f"the button color must look like #1f5eff, which “{self.accent}” does not"
            )
        for hour in (self.quiet_from, self.quiet_until):
            if not 0 <= hour <= 23:
                raise ChoiceError("quiet hours start and end at an hour from 0 to 23, such as 21-8")
        if not 1 <= self.daily_cap <= LARGEST_CAP:
            raise ChoiceError(f"the daily limit must be between 1 and {LARGEST_CAP:,} messages")


DEFAULT_MESSAGING_SETTINGS = MessagingSettings()
# What counts in place of a saved value that cannot be used: in doubt nobody is written to.
IN_DOUBT = replace(DEFAULT_MESSAGING_SETTINGS, enabled=False)


def check_line(what: str, text: str | None, longest: int, allowed: str = "") -> None:
    if text is None:
        return
    if not text.strip():
        raise ChoiceError(f"{what} must not be empty")
    if len(text) > longest:
        raise ChoiceError(f"{what} has {len(text):,} characters; the limit is {longest}")
    if hidden := find_hidden(text, allowed):
        raise ChoiceError(
            f"{what} has an invisible character ({hidden}); letters, digits, punctuation, emoji "
            "and spaces are fine"
        )


def read_messaging_settings(
    settings: Mapping[str, Any],
) -> tuple[MessagingSettings, dict[str, str]]:
    """What counts, and the error of each saved value that cannot be used, by its name."""
    kept = read_group(settings, KEY)
    defaults = asdict(DEFAULT_MESSAGING_SETTINGS)
    saved = {name: kept.get(name, default) for name, default in defaults.items()}
    if saved["channel"] in list(Channel):
        saved["channel"] = Channel(saved["channel"])
    return keep_valid(MessagingSettings(**saved), IN_DOUBT, MessagingSettings.check)


def find_messaging_settings(session: Session, company_id: str) -> MessagingSettings:
    company = session.get(Company, company_id)
    if company is None:
        return DEFAULT_MESSAGING_SETTINGS
    return read_messaging_settings(company.settings)[0]


def save_messaging_settings(
    session: Session, company_id: str, messaging: MessagingSettings, actor: str, now: datetime
) -> Changes:
    """Applies to messages that are sent from now on. Raises ChoiceError."""
    messaging.check()
    company = lock_company(session, company_id)
    before, after = asdict(read_messaging_settings(company.settings)[0]), asdict(messaging)
    company.settings = company.settings | {KEY: after}
    return record_changes(session, company_id, before, after, actor, now)
