"""`python -m db migrate [REVISION]`: brings the schema to a revision, up or down."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from db.session import connect, database_url, wait_until_reachable
from db.settings import CommonSettings


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("migrate", help="bring the schema to its newest revision")
    parser.add_argument("revision", nargs="?", default="head", help="default: head, the newest one")
    parser.add_argument("--down", action="store_true", help="go back to REVISION (or to `base`)")
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: CommonSettings) -> int:
    # Imported here because alembic takes 50 MB, which only this command needs.
    from db import migrate

    engine = connect(database_url(settings), "migrate")
    wait_until_reachable(engine)
    change = migrate.downgrade if arguments.down else migrate.upgrade
    change(engine, arguments.revision)
    print(f"The database is at revision {arguments.revision}.")
    return 0
