"""`python -m db messaging BIZ`: shows or changes how a company's members are written to."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from typing import Any

from db.audit_log import COMMAND
from db.commands.database import open_database
from db.company_settings.messaging import (
    MessagingSettings,
    find_messaging_settings,
    save_messaging_settings,
)
from db.company_settings.recovery import ChoiceError
from db.session import now
from db.settings import CommonSettings
from recovery.status import Channel

CHANNELS = {
    Channel.EMAIL: "e-mail, and Whop's chat where no address is of use",
    Channel.WHOP: "Whop's support chat",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("messaging", help="show or change how its members are written to")
    parser.add_argument("company_id", metavar="BIZ", help="its id at Whop, biz_…")
    parser.add_argument(
        "--sender-name", metavar="NAME", help="who writes; '' for Whop's name of it"
    )
    parser.add_argument("--reply-to", metavar="ADDRESS", help="where answers go; '' for the sender")
    parser.add_argument("--accent", metavar="#RRGGBB", help="the colour of the button")
    parser.add_argument("--note", metavar="TEXT", help="your own words at the end; '' for none")
    parser.add_argument(
        "--quiet", metavar="FROM-UNTIL", help="hours without messages: 21-8, or off"
    )
    parser.add_argument("--daily-cap", type=int, metavar="N", help="messages a day at most")
    parser.add_argument("--channel", choices=[str(channel) for channel in Channel])
    parser.add_argument("--messages", choices=["on", "off"], help="whether members are written to")
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    """Raises ChoiceError."""
    whose, changes = arguments.company_id, read_changes(arguments)
    with open_database(settings, "messaging").begin() as session:
        messaging = replace(find_messaging_settings(session, whose), **changes)
        if changes:
            save_messaging_settings(session, whose, messaging, COMMAND, now())
    sys.stdout.write(f"{whose}:\n{describe_messaging_settings(messaging)}\n")
    return 0


def read_changes(arguments: Namespace) -> dict[str, Any]:
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
        raise ChoiceError(f"{typed} are not hours; some are 21-8, and off means none")
    return int(first), int(last)


def describe_messaging_settings(messaging: MessagingSettings) -> str:
    quiet = f"{messaging.quiet_from}:00 to {messaging.quiet_until}:00 in the company's time zone"
    lines = (
        ("messages", "on" if messaging.enabled else "off: no member is written to"),
        ("channel", CHANNELS[messaging.channel]),
        ("sender", messaging.sender_name or "the company's name at Whop"),
        ("reply to", messaging.reply_to or "the sending address"),
        ("accent", messaging.accent),
        ("note", " / ".join((messaging.note or "none").splitlines())),
        ("quiet", quiet if messaging.quiet_from != messaging.quiet_until else "no hour"),
        ("daily cap", f"{messaging.daily_cap:,} messages"),
    )
    return "\n".join(f"  {name:<12} {words}" for name, words in lines)
