"""What `python -m daemon` can be asked for, and how it is run until it ends or is told to stop."""

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
from db.audit_log import COMMAND
from db.ledger import requests
from db.session import now
from recovery.status import RequestKind

log = logging.getLogger(__name__)

ABOUT_A_PAYMENT = {
    "stop": (RequestKind.STOP, "no more tries of one payment"),
    "retry-now": (RequestKind.RETRY_NOW, "charge one payment now"),
}
# How long a stop waits for the attempt in hand. After that it stays open for the next start.
GRACE_SECONDS = 4.0


def parse_arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m daemon", description=description)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run", help="a cycle every hour until stopped (the default)")
    commands.add_parser("once", help="one cycle, then stop")
    commands.add_parser("replay", help="try again the events that could not be applied")
    preview = commands.add_parser("preview", help="every message, for every decline, as files")
    preview.add_argument("folder", nargs="?", type=Path, default=Path("preview"))
    for name, (_, effect) in ABOUT_A_PAYMENT.items():
        commands.add_parser(name, help=effect).add_argument("payment_id")
    return parser.parse_args()


def preview(folder: Path) -> int:
    """Needs no settings and no database."""
    number = write_preview(folder)
    index = folder / "index.html"
    sys.stdout.write(f"{number} messages, in mail, text and chat: open {index}\n")
    return 0


def choose_job(arguments: argparse.Namespace, daemon: Daemon) -> Callable[[], None]:
    match arguments.command:
        case "once":
            return daemon.run_once
        case "replay":
            return partial(replay, daemon)
        case "stop" | "retry-now" as name:
            return partial(ask, daemon, ABOUT_A_PAYMENT[name][0], arguments.payment_id)
        case _:
            return daemon.run


def replay(daemon: Daemon) -> None:
    daemon.wait_until_ready()
    left = daemon.jobs.replayer.replay_all(COMMAND)
    sys.stdout.write(f"{left} event(s) still cannot be applied.\n")
    sys.stdout.flush()


def ask(daemon: Daemon, kind: RequestKind, payment_id: str) -> None:
    """A request row, for the daemon that runs to honour."""
    daemon.wait_until_ready()
    try:
        with daemon.sessions.begin() as session:
            requests.ask(session, payment_id, kind, COMMAND, now())
    except requests.UnknownPaymentError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
    sys.stdout.write("Asked for. The daemon does it within a minute and logs what came of it.\n")
    sys.stdout.flush()


def run_until_signal(daemon: Daemon, job: Callable[[], None]) -> int:
    """The work runs beside; this thread only waits, so that a stop never waits for a bank."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # A flag, no lock: a handler may interrupt anything.
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
        log.info("stopping; an attempt in hand is finished, or left open for the next start")
        worker.join(GRACE_SECONDS)
        return 0
    return 0 if finished.is_set() else 1
