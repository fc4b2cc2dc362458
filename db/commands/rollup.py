"""`python -m db rollup rebuild [BIZ]`: sums up the daily figures from scratch.

Every figure stays right meanwhile: each company is rebuilt in one transaction.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from db.commands.database import open_database
from db.company_settings.recovery import list_company_ids
from db.reporting.rollup import rebuild
from db.session import now
from db.settings import CommonSettings


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("rollup", help="rebuild the daily sums behind the figures")
    verbs = parser.add_subparsers(required=True)
    rebuilding = verbs.add_parser("rebuild", help="sum up again; the figures stay right meanwhile")
    rebuilding.add_argument("company_id", nargs="?", metavar="BIZ", help="default: every company")
    rebuilding.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    """1 where the company is not known."""
    company_id = arguments.company_id
    sessions = open_database(settings, "rollup", statement_timeout="0")
    with sessions() as session:
        known = list_company_ids(session)
    chosen = known if company_id is None else [one for one in known if one == company_id]
    for one in chosen:
        with sessions.begin() as session:
            rebuild(session, one, now())
    print(f"Rebuilt the daily sums of {len(chosen)} of {len(known)} companies.")
    return 0 if chosen or company_id is None else 1
