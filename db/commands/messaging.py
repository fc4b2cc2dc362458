"""`python -m db messaging BIZ`: shows how a company writes to its members, or changes it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import Any

from db.audit_log import COMMAND
from db.commands.database import open_database
from db.company_settings.messaging import (
    CHANNEL_CHOICES,
    MessagingSettings,
    find_messaging_settings,
    save_messaging_settings,
)
from db.company_settings.validity import ChoiceError
from db.session import now
from db.settings import CommonSettings
from recovery.status import Channel


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("messaging", help="show or change how a company writes to members")
    parser.add_argument("company_id", metavar="BIZ", help="its id at Whop, biz_…")
    parser.add_argument(
        "--sender-name", metavar="NAME", help="who writes; '' for the company's name at Whop"
    )
    parser.add_argument("--reply-to", metavar="ADDRESS", help="where answers go; '' for the sender")
    parser.add_argument("--accent", metavar="#RRGGBB", help="the color of the button")
    parser.add_argument("--note", metavar="TEXT", help="own words at the end; '' for none")
    parser.add_argument(
        "--quiet", metavar="FROM-UNTIL", help="hours without messages: 21-8, or off"
    )
    parser.add_argument("--daily-cap", type=int, metavar="N", help="most messages in a day")
    parser.add_argument(
        "--channel", choices=[str(channel) for channel in Channel], help="which way comes first"
    )
    parser.add_argument("--messages", choices=["on", "off"], help="whether members get messages")
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    """Raises ChoiceError."""
    company_id, changes = arguments.company_id, read_changes(arguments)
    with open_database(settings, "messaging").begin() as session:
        messaging = replace(find_messaging_settings(session, company_id), **changes)
        if changes:
            save_messaging_settings(session, company_id, messaging, COMMAND, now())
    print(f"{company_id}:\n{describe_messaging_settings(messaging)}")
    return 0


def read_changes(arguments: Namespace) -> dict[str, Any]:
    """Only the options that were given."""
    changes: dict[str, Any] = {}
    for name in ("sender_name", "reply_to", "note"):
        if (typed := getattr(arguments, name)) is not None:
            changes[name] = typed or None
    for name in ("accent", "daily_cap"):
        if (typed := getattr(arguments, name)) is not None:
            changes[name] = typed
    if arguments.channel is not None:
        changes["channel"] = Channel(arguments.channel)
    if arguments.messages is not None:
        changes["enabled"] = arguments.messages == "on"
    if arguments.quiet is not None:
        changes["quiet_from"], changes["quiet_until"] = read_hours(arguments.quiet)
    return changes


def read_hours(typed: str) -> tuple[int, int]:
    if typed == "off":
        return 0, 0
    first, _, last = typed.partition("-")
    if not (first.isdecimal() and last.isdecimal()):
        raise ChoiceError(f"{typed} is not a span of hours; write 21-8, or off for none")
    return int(first), int(last)


def describe_messaging_settings(messaging: MessagingSettings) -> str:
    quiet = f"{messaging.quiet_from}:00 to {messaging.quiet_until}:00 in the company's time zone"
    lines = (
        ("messages", "on" if messaging.enabled else "off: members get no messages"),
        ("channel", CHANNEL_CHOICES[messaging.channel]),
        ("sender", messaging.sender_name or "the company's name at Whop"),
        ("reply to", messaging.reply_to or "the sending address"),
        ("accent", messaging.accent),
        ("closing note", " / ".join((messaging.note or "none").splitlines())),
        ("quiet", quiet if messaging.quiet_from != messaging.quiet_until else "no hour"),
        ("daily limit", f"{messaging.daily_cap:,} messages"),
    )
    return "\n".join(f"  {name:<12} {words}" for name, words in lines)
