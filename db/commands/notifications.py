"""`python -m db notifications BIZ`: shows what a creator is notified of, or changes it."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from typing import Any

from db.audit_log import COMMAND
from db.commands.database import open_database
from db.company_settings.notifications import (
    NotificationSettings,
    find_notification_settings,
    save_notification_settings,
)
from db.session import now
from db.settings import CommonSettings

SWITCHES = {
    "digest": "an email each Monday morning about the week before",
    "on_recovery": "posts about recovered payments",
    "on_problem": "posts when something breaks, and when it works again",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "notifications", help="show or change what a creator is notified of, and where"
    )
    parser.add_argument("company_id", metavar="BIZ", help="its id at Whop, biz_…")
    for name, what in SWITCHES.items():
        parser.add_argument("--" + name.replace("_", "-"), choices=["on", "off"], help=what)
    parser.add_argument("--digest-to", metavar="ADDRESS", help="where the digest goes; '' for none")
    parser.add_argument(
        "--post-url",
        metavar="URL",
        help="a Discord or Slack webhook; '' for none; - reads it from standard input, "
        "which keeps it out of the list of processes",
    )
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    """Raises ChoiceError."""
    company_id, changes = arguments.company_id, read_changes(arguments)
    with open_database(settings, "notifications").begin() as session:
        notifications = replace(find_notification_settings(session, company_id), **changes)
        if changes:
            save_notification_settings(
                session, company_id, notifications, COMMAND, now(), settings.in_development
            )
    print(f"{company_id}:\n{describe_notification_settings(notifications)}")
    return 0


def read_changes(arguments: Namespace) -> dict[str, Any]:
    """Only the options that were given; an empty text removes an address."""
    given = {name: getattr(arguments, name) for name in (*SWITCHES, "digest_to", "post_url")}
    changes: dict[str, Any] = {
        name: value == "on" if name in SWITCHES else value.strip() or None
        for name, value in given.items()
        if value is not None
    }
    if changes.get("post_url") == "-":
        changes["post_url"] = sys.stdin.readline().strip() or None
    return changes


def describe_notification_settings(notifications: NotificationSettings) -> str:
    words = {True: "on", False: "off"}
    return (
        f"  digest       {words[notifications.digest]}, to {notifications.digest_to or 'nobody'}\n"
        f"  posts go to  {notifications.describe_post_url()}\n"
        f"  on recovery  {words[notifications.on_recovery]}\n"
        f"  on problem   {words[notifications.on_problem]}"
    )
