"""`python -m db`: migrate [REVISION], serve [COMMAND …], rollup rebuild; company, messaging and
notifications BIZ [choices]."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from db import embedded
from db.commands import company, messaging, notifications, rollup
from db.company_settings.recovery import ChoiceError
from db.logs import configure_logging
from db.session import connect, database_url, wait_until_reachable
from db.settings import CommonSettings, load_settings


def main() -> int:
    arguments = parse_arguments()
    if arguments.command == "serve":
        # A development tool by nature: it must not ask for production's settings.
        settings = load_settings(CommonSettings, environment="development")
        return serve_while(arguments.program, settings)
    settings = load_settings(CommonSettings)
    configure_logging(settings.log_level, settings.log_format)
    try:
        return int(arguments.run(arguments, settings))
    except ChoiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m db", description="The database's commands.")
    commands = parser.add_subparsers(dest="command", required=True)
    migrate = commands.add_parser("migrate", help="bring the schema to a revision")
    migrate.add_argument("revision", nargs="?", default="head")
    migrate.add_argument("--down", action="store_true", help="go back to REVISION (or `base`)")
    migrate.set_defaults(run=migrate_to)
    serve = commands.add_parser(
        "serve", help="run the embedded Postgres; given a command, for as long as it runs"
    )
    serve.add_argument("program", nargs=argparse.REMAINDER, metavar="COMMAND")
    for command in (company, messaging, notifications, rollup):
        command.add_parser(commands)
    return parser.parse_args()


def migrate_to(arguments: argparse.Namespace, settings: CommonSettings) -> int:
    from db import migrate  # alembic: 50 MB that only this command needs

    engine = connect(database_url(settings), "migrate")
    wait_until_reachable(engine)
    (migrate.downgrade if arguments.down else migrate.upgrade)(engine, arguments.revision)
    print(f"The database is at revision {arguments.revision}.", flush=True)
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
