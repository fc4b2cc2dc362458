"""`python -m db alerts BIZ`: shows or changes what a creator is told, and where."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from typing import Any

from db.audit_log import COMMAND
from db.commands.database import open_database
from db.company_settings.notifications import Alerts, find_alerts, save_alerts
from db.session import now
from db.settings import CommonSettings

SWITCHES = {
    "digest": "a mail each Monday morning about the week before",
    "on_recovery": "posts about recovered payments",
    "on_trouble": "posts when something is wrong, and when it is over",
}


def add_parser(commands: Any) -> None:
    alerts = commands.add_parser("alerts", help="show or change what a creator is told, and where")
    alerts.add_argument("company_id", metavar="BIZ", help="its id at Whop, biz_…")
    for name, what in SWITCHES.items():
        alerts.add_argument("--" + name.replace("_", "-"), choices=["on", "off"], help=what)
    alerts.add_argument("--digest-to", metavar="ADDRESS", help="where the digest goes; '' for none")
    alerts.add_argument(
        "--post-url",
        metavar="URL",
        help="a Discord or Slack webhook; '' for none, - to read it from standard input, "
        "where no list of processes shows it",
    )
    alerts.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    """Raises ChoiceError."""
    whose, changes = arguments.company_id, read_changes(arguments)
    with open_database(settings, "alerts").begin() as session:
        alerts = replace(find_alerts(session, whose), **changes)
        if changes:
            save_alerts(session, whose, alerts, COMMAND, now(), settings.in_development)
    sys.stdout.write(f"{whose}:\n{describe_alerts(alerts)}\n")
    return 0


def read_changes(arguments: Namespace) -> dict[str, Any]:
    """Only what was given; an empty text takes an address away."""
    given = {name: getattr(arguments, name) for name in (*SWITCHES, "digest_to", "post_url")}
    changes: dict[str, Any] = {
        name: value == "on" if name in SWITCHES else value.strip() or None
        for name, value in given.items()
        if value is not None
    }
    if changes.get("post_url") == "-":
        changes["post_url"] = sys.stdin.readline().strip() or None
    return changes


def describe_alerts(alerts: Alerts) -> str:
    words = {True: "on", False: "off"}
    return (
        f"  digest       {words[alerts.digest]}, to {alerts.digest_to or 'nobody'}\n"
        f"  posts go to  {alerts.describe_post_url()}\n"
        f"  on recovery  {words[alerts.on_recovery]}\n"
        f"  on trouble   {words[alerts.on_trouble]}"
    )
