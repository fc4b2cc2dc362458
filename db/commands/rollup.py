"""`python -m db rollup rebuild [BIZ]`: the daily sums from nothing, of one company or of all."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from db.commands.database import open_database
from db.company_settings.recovery import list_company_ids
from db.reporting.rollup import rebuild
from db.session import now
from db.settings import CommonSettings


def add_parser(commands: Any) -> None:
    verbs = commands.add_parser("rollup", help="the figures' daily sums")
    anew = verbs.add_subparsers(dest="verb", required=True).add_parser(
        "rebuild", help="sum up again; the figures are right all the while"
    )
    anew.add_argument("company_id", nargs="?", metavar="BIZ", help="default: every company")
    anew.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    company_id = arguments.company_id
    sessions = open_database(settings, "rollup", "-c statement_timeout=0")
    with sessions() as session:
        known = list_company_ids(session)
    chosen = known if company_id is None else [one for one in known if one == company_id]
    for one in chosen:
        with sessions.begin() as session:
            rebuild(session, one, now())
    print(f"Summed up anew: {len(chosen)} of {len(known)} companies.", flush=True)
    return 0 if chosen or company_id is None else 1
