"""`python -m db serve [COMMAND …]`: runs the embedded Postgres, for a command or until stopped."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from typing import Any

from db import embedded
from db.settings import CommonSettings

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "serve", help="run the embedded Postgres, as long as COMMAND runs or until stopped"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="COMMAND")
    # It serves development only, so it must not ask for production's settings.
    parser.set_defaults(run=run, fixed_settings={"environment": "development"})


def run(arguments: argparse.Namespace, settings: CommonSettings) -> int:
    """Postgres outlives the command, so what the command writes last still reaches it.

    Raises EmbeddedPostgresError.
    """
    command: list[str] = arguments.program
    if settings.database_url is not None:
        print("DATABASE_URL is set: using that server and starting none.", flush=True)
        return run_program(command) if command else 0
    server = embedded.default_server()
    if server.answers():
        print(f"Postgres is already running on {server.data}.", flush=True)
        return run_program(command) if command else 0
    embedded.initialize(server)
    process = embedded.start(server)
    print(f"Postgres is running; its data is in {server.data}.", flush=True)
    try:
        return run_program(command) if command else wait_for_signal()
    finally:
        embedded.stop(process)
        print("Postgres has stopped.", flush=True)


def run_program(command: list[str]) -> int:
    """Returns its exit code, or 0 if a signal stopped us.

    It runs in a session of its own and gets our signals passed on, so it stops before Postgres.
    """
    process = subprocess.Popen(
        command, start_new_session=True, preexec_fn=embedded.stop_with_parent
    )
    stopped = False

    def pass_on(number: int, frame: object) -> None:
        nonlocal stopped
        stopped = True
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)

    for number in STOP_SIGNALS:
        signal.signal(number, pass_on)
    status = process.wait()
    return 0 if stopped else abs(status)


def wait_for_signal() -> int:
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, frame: None)
    signal.pause()
    return 0
