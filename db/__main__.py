"""`python -m db`: migrate [REVISION], serve [COMMAND …], rollup rebuild; company, writing and
alerts BIZ [choices]."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from dataclasses import replace

from db import embedded
from db.commands import figures as rollup_command
from db.commands import messaging as writing_command
from db.commands import notifications as choose_alerts
from db.company_settings.recovery import (
    ChoiceError,
    Terms,
    find_chosen_name,
    find_terms,
    save_name,
    save_terms,
)
from db.logs import configure_logging
from db.session import connect, database_url, session_factory, wait_until_reachable
from db.settings import CommonSettings, load_settings


def main() -> int:
    arguments = parse_arguments()
    if arguments.command == "serve":
        # A development tool by nature: it must not ask for production's settings.
        settings = load_settings(CommonSettings, environment="development")
        return serve_while(arguments.run, settings)
    settings = load_settings(CommonSettings)
    configure_logging(settings.log_level, settings.log_format)
    if arguments.command == "company":
        return choose(arguments, settings)
    if arguments.command == "writing":
        return choose_writing(arguments, settings)
    if arguments.command == "alerts":
        return choose_alerts.choose_alerts(arguments, settings)
    if arguments.command == "rollup":
        return rollup_command.run(arguments.company_id, settings)
    return migrate_to(arguments.revision, arguments.down, settings)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m db", description="The database's commands.")
    commands = parser.add_subparsers(dest="command", required=True)
    migrate = commands.add_parser("migrate", help="bring the schema to a revision")
    migrate.add_argument("revision", nargs="?", default="head")
    migrate.add_argument("--down", action="store_true", help="go back to REVISION (or `base`)")
    serve = commands.add_parser(
        "serve", help="run the embedded Postgres; given a command, for as long as it runs"
    )
    serve.add_argument("run", nargs=argparse.REMAINDER, metavar="COMMAND")
    company = commands.add_parser("company", help="show or change what a company has chosen")
    company.add_argument("company_id", metavar="BIZ", help="its id at Whop, biz_…")
    company.add_argument("--name", metavar="NAME", help="its name; '' for the one at Whop")
    company.add_argument("--time-zone", metavar="ZONE", help="such as Europe/Berlin")
    company.add_argument(
        "--holdout", type=int, metavar="PERCENT", help="share of members left to Whop alone"
    )
    company.add_argument(
        "--backup-card", choices=["on", "off"], help="whether another saved card may be tried once"
    )
    writing = commands.add_parser("writing", help="show or change how its members are written to")
    writing_command.add_options(writing)
    choose_alerts.add_parser(commands)
    rollup_command.add_arguments(commands.add_parser("rollup", help="the figures' daily sums"))
    return parser.parse_args()


def choose(arguments: argparse.Namespace, settings: CommonSettings) -> int:
    chosen = {
        "time_zone": arguments.time_zone,
        "holdout_percent": arguments.holdout,
        "backup_card": None if arguments.backup_card is None else arguments.backup_card == "on",
    }
    changes = {name: value for name, value in chosen.items() if value is not None}
    engine = connect(database_url(settings), "company")
    wait_until_reachable(engine)
    try:
        with session_factory(engine).begin() as session:
            terms = replace(find_terms(session, arguments.company_id), **changes)
            if changes:
                save_terms(session, arguments.company_id, terms)
            if arguments.name is not None:
                save_name(session, arguments.company_id, arguments.name.strip() or None)
            name = find_chosen_name(session, arguments.company_id)
    except ChoiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.company_id}:\n{describe_terms(terms, name)}", flush=True)
    return 0


def choose_writing(arguments: argparse.Namespace, settings: CommonSettings) -> int:
    engine = connect(database_url(settings), "writing")
    wait_until_reachable(engine)
    try:
        with session_factory(engine).begin() as session:
            manners = writing_command.choose(session, arguments)
    except ChoiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.company_id}:\n{writing_command.describe_manners(manners)}", flush=True)
    return 0


def describe_terms(terms: Terms, name: str | None) -> str:
    held_out = (
        f"{terms.holdout_percent}% of the members are left to Whop alone, to measure what we add"
        if terms.holdout_percent
        else "off: every member's payment is worked on"
    )
    backup = "on: one other saved card is tried, once" if terms.backup_card else "off"
    return (
        f"  name         {name or 'not known yet: read from Whop'}\n"
        f"  time zone    {terms.time_zone}: days, months and the hours of charges\n"
        f"  holdout      {held_out}\n"
        f"  backup card  {backup}"
    )


def migrate_to(revision: str, down: bool, settings: CommonSettings) -> int:
    from db import migrate  # alembic: 50 MB that only this command needs

    engine = connect(database_url(settings), "migrate")
    wait_until_reachable(engine)
    (migrate.downgrade if down else migrate.upgrade)(engine, revision)
    print(f"The database is at revision {revision}.", flush=True)
    return 0


def serve_while(command: list[str], settings: CommonSettings) -> int:
    """Postgres outlives the command, so that what the command writes last still finds it."""
    if settings.database_url is not None:
        print("DATABASE_URL is set: using that server, starting none.", flush=True)
        return run(command) if command else 0
    server = embedded.default_server()
    if server.answers():
        print(f"Postgres is already running on {server.data}.", flush=True)
        return run(command) if command else 0
    embedded.initialize(server)
    process = embedded.start(server)
    print(f"Postgres is running; its data is in {server.data}.", flush=True)
    try:
        return run(command) if command else wait_for_signal()
    finally:
        embedded.stop(process)
        print("Postgres has stopped.", flush=True)


def run(command: list[str]) -> int:
    """Runs it in its own session and passes our signals on: it stops first, then Postgres."""
    process = subprocess.Popen(
        command, start_new_session=True, preexec_fn=embedded.stop_with_parent
    )
    told_to_stop = False

    def pass_on(number: int, frame: object) -> None:
        nonlocal told_to_stop
        told_to_stop = True
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    status = process.wait()
    return 0 if told_to_stop else abs(status)


def wait_for_signal() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: None)
    signal.pause()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except embedded.EmbeddedPostgresError as error:
        sys.exit(f"error: {error}")
