"""`python -m db alerts BIZ`: shows or changes what a creator is told, and where."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

from db.company_settings.notifications import Alerts, find_alerts, save_alerts
from db.company_settings.recovery import ChoiceError
from db.session import connect, database_url, now, session_factory, wait_until_reachable
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


def choose_alerts(arguments: argparse.Namespace, settings: CommonSettings) -> int:
    changes = read_changes(arguments)
    engine = connect(database_url(settings), "alerts")
    wait_until_reachable(engine)
    with session_factory(engine).begin() as session:
        alerts = find_alerts(session, arguments.company_id)
        if changes:
            alerts = replace(alerts, **changes)
            try:
                save_alerts(session, arguments.company_id, alerts, now(), settings.in_development)
            except ChoiceError as error:
                sys.stderr.write(f"error: {error}\n")
                return 2
    sys.stdout.write(f"{arguments.company_id}:\n{describe_alerts(alerts)}\n")
    return 0


def read_changes(arguments: argparse.Namespace) -> dict[str, Any]:
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
