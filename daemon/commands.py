"""The commands of `python -m daemon`, and running one until it ends or is told to stop."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from daemon.loop import TICK_SECONDS
from daemon.preview import write_preview
from daemon.process import Daemon
from daemon.settings import DaemonSettings
from db.audit_log import COMMAND
from db.ledger import requests
from db.logs import configure_logging
from db.session import now
from db.settings import load_settings
from recovery.status import RequestKind

log = logging.getLogger(__name__)

Job = Callable[[Daemon], None]

# How long a stop waits for the running attempt. After that the attempt stays open for the next
# start.
GRACE_SECONDS = 4.0


def parse_arguments(description: str | None) -> argparse.Namespace:
    """`run` is what the command does: it takes the arguments and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m daemon", description=description)
    parser.set_defaults(run=partial(run_job, Daemon.run))
    commands = parser.add_subparsers()

    def add_job(name: str, what: str, job: Job) -> None:
        commands.add_parser(name, help=what).set_defaults(run=partial(run_job, job))

    def add_request(name: str, what: str, kind: RequestKind) -> None:
        request = commands.add_parser(name, help=what)
        request.add_argument("payment_id", help="the payment's id at Whop, pay_…")
        request.set_defaults(run=partial(run_request, kind))

    add_job("run", "one cycle every hour until stopped (the default)", Daemon.run)
    add_job("once", "one cycle, then stop", Daemon.run_once)
    add_job("replay", "apply again the events that could not be applied", replay)
    preview = commands.add_parser("preview", help="write every message for every decline to files")
    preview.add_argument("folder", nargs="?", type=Path, default=Path("preview"))
    preview.set_defaults(run=run_preview)
    add_request("stop", "stop trying to collect one payment", RequestKind.STOP)
    add_request("retry-now", "charge one payment now", RequestKind.RETRY_NOW)
    return parser.parse_args()


def run_job(job: Job, arguments: argparse.Namespace) -> int:
    settings = load_settings(DaemonSettings)
    configure_logging(settings.log_level, settings.log_format)
    daemon = Daemon(settings)
    return run_until_signal(daemon, partial(job, daemon))


def run_request(kind: RequestKind, arguments: argparse.Namespace) -> int:
    return run_job(partial(ask, kind=kind, payment_id=arguments.payment_id), arguments)


def run_preview(arguments: argparse.Namespace) -> int:
    """Needs no settings and no database."""
    number = write_preview(arguments.folder)
    index = arguments.folder / "index.html"
    print(f"{number} messages, as HTML, text and chat: open {index}")
    return 0


def replay(daemon: Daemon) -> None:
    daemon.wait_until_ready()
    left = daemon.services.replayer.replay_all(COMMAND)
    print(f"{left} event(s) still cannot be applied.", flush=True)


def ask(daemon: Daemon, kind: RequestKind, payment_id: str) -> None:
    """Writes a request row; the running daemon does the work."""
    daemon.wait_until_ready()
    try:
        with daemon.sessions.begin() as session:
            requests.ask(session, payment_id, kind, COMMAND, now())
    except requests.UnknownPaymentError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print("Requested. The daemon does it within a minute and logs the result.", flush=True)


def run_until_signal(daemon: Daemon, job: Callable[[], None]) -> int:
    """Returns the exit code: 1 if the job failed.

    The job runs in a thread of its own and this one only waits, so a stop never waits for a bank.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # It only sets a flag: a handler may interrupt anything, so it must take no lock.
        signal.signal(number, lambda number, frame: daemon.stop())
    finished = threading.Event()

    def work() -> None:
        job()
        finished.set()

    worker = threading.Thread(target=work, name="work", daemon=True)
    worker.start()
    while worker.is_alive() and not daemon.is_stopping():
        worker.join(TICK_SECONDS)
    if daemon.is_stopping():
        log.info("stopping; a running attempt is finished, or left open for the next start")
        worker.join(GRACE_SECONDS)
        return 0
    return 0 if finished.is_set() else 1
