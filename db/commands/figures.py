"""`python -m db rollup rebuild [BIZ]`: the daily sums from nothing, of one company or of all."""

from __future__ import annotations

from argparse import ArgumentParser

from db.company_settings.recovery import list_company_ids
from db.reporting.rollup import rebuild
from db.session import connect, database_url, now, session_factory, wait_until_reachable
from db.settings import CommonSettings


def add_arguments(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True)
    anew = verbs.add_parser("rebuild", help="sum up again; the figures are right all the while")
    anew.add_argument("company_id", nargs="?", metavar="BIZ", help="default: every company")


def run(company_id: str | None, settings: CommonSettings) -> int:
    engine = connect(database_url(settings), "rollup", "-c statement_timeout=0")
    wait_until_reachable(engine)
    sessions = session_factory(engine)
    with sessions() as session:
        known = list_company_ids(session)
    chosen = known if company_id is None else [one for one in known if one == company_id]
    for one in chosen:
        with sessions.begin() as session:
            rebuild(session, one, now())
    print(f"Summed up anew: {len(chosen)} of {len(known)} companies.", flush=True)
    return 0 if chosen or company_id is None else 1
