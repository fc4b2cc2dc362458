"""`python -m db company BIZ`: shows a company's recovery settings, or changes them."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import Any

from db.audit_log import COMMAND
from db.commands.database import open_database
from db.company_settings.faults import find_setting_faults
from db.company_settings.recovery import (
    RecoverySettings,
    find_chosen_name,
    find_recovery_settings,
    save_name,
    save_recovery_settings,
)
from db.session import now
from db.settings import CommonSettings


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("company", help="show or change a company's recovery settings")
    parser.add_argument("company_id", metavar="BIZ", help="its id at Whop, biz_…")
    parser.add_argument("--name", metavar="NAME", help="its name; '' for its name at Whop")
    parser.add_argument("--time-zone", metavar="ZONE", help="such as Europe/Berlin")
    parser.add_argument(
        "--holdout", type=int, metavar="PERCENT", help="share of members left to Whop alone"
    )
    parser.add_argument(
        "--backup-card", choices=["on", "off"], help="whether another saved card is tried once"
    )
    parser.add_argument(
        "--explores", choices=["on", "off"], help="whether other good hours are tried now and then"
    )
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    """Raises ChoiceError."""
    company_id, changes = arguments.company_id, read_changes(arguments)
    with open_database(settings, "company").begin() as session:
        recovery_settings = replace(find_recovery_settings(session, company_id), **changes)
        if changes:
            save_recovery_settings(session, company_id, recovery_settings, COMMAND, now())
        if arguments.name is not None:
            save_name(session, company_id, arguments.name.strip() or None, COMMAND, now())
        name = find_chosen_name(session, company_id)
        faults = find_setting_faults(session, company_id)
    print(f"{company_id}:\n{describe_recovery_settings(recovery_settings, name)}")
    for setting, fault in faults.items():
        print(f"  {setting}: {fault}")
    return 0


def read_changes(arguments: Namespace) -> dict[str, Any]:
    """Only the options that were given."""
    given = {
        "time_zone": arguments.time_zone,
        "holdout_percent": arguments.holdout,
        "backup_card": read_switch(arguments.backup_card),
        "explores": read_switch(arguments.explores),
    }
    return {name: value for name, value in given.items() if value is not None}


def read_switch(word: str | None) -> bool | None:
    return None if word is None else word == "on"


def describe_recovery_settings(recovery_settings: RecoverySettings, name: str | None) -> str:
    held_out = (
        f"{recovery_settings.holdout_percent}% of the members are left to Whop alone, to measure "
        "what we add"
        if recovery_settings.holdout_percent
        else "off: every member's payment is worked on"
    )
    backup = "on: one other saved card is tried, once" if recovery_settings.backup_card else "off"
    explores = (
        "on: one retry in five, at hours that are as good" if recovery_settings.explores else "off"
    )
    return (
        f"  name         {name or 'not known yet: read from Whop'}\n"
        f"  time zone    {recovery_settings.time_zone}: days, months and the hours of charges\n"
        f"  holdout      {held_out}\n"
        f"  backup card  {backup}\n"
        f"  other hours  {explores}"
    )
