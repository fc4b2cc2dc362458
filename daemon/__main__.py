"""`python -m daemon` runs until it is stopped; `once` one cycle; `replay` the poison events."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import schedule
from sqlalchemy.exc import OperationalError

from daemon.cycle import WORKERS, Cycle
from daemon.mailer import Mailer, make_courier
from daemon.messages import Messenger
from daemon.retries import Retrier
from daemon.settings import DaemonSettings
from db import events, heartbeats
from db.logs import configure_logging
from db.pace import SharedPace, fingerprint
from db.session import (
    SessionFactory,
    connect,
    database_url,
    now,
    session_factory,
    wait_until_ready,
)
from db.settings import load_settings
from whop.client import WhopClient
from whop.payloads import read_event

log = logging.getLogger("daemon")

TICK_SECONDS = 0.2
MOST_IDLE_SECONDS = 90
"""Something is due every minute, so a longer wait means that the clock has moved."""
GRACE_SECONDS = 4.0
"""How long a stop waits for the attempt in hand. After that it stays open for the next start."""


class Daemon:
    """The three jobs and the loop that drives them. `schedule` is only the metronome: what is
    due stands in the database."""

    def __init__(self, settings: DaemonSettings) -> None:
        self.settings = settings
        self.stopping = False
        self.engine = connect(database_url(settings), "daemon", pool_size=WORKERS)
        self.sessions = session_factory(self.engine)
        self.whop = make_client(settings, self.sessions)
        retrier = Retrier(self.sessions, self.whop, settings.rules, now)
        self.cycle = Cycle(self.sessions, retrier, now, stopping=self.is_stopping)
        self.messenger = Messenger(self.sessions, self.whop, make_mailer(settings), now)
        self.scheduler = schedule.Scheduler()

    def is_stopping(self) -> bool:
        return self.stopping

    def run(self) -> None:
        """Each job at once, then by its own interval, until stopped."""
        if not wait_until_ready(self.engine, self.is_stopping):
            return
        minutes = self.settings.retry_interval_minutes
        log.info("started; a cycle every %d min", minutes)
        for every, job in ((minutes, self.run_cycle), (1, self.send_messages), (1, self.beat)):
            self.scheduler.every(every).minutes.do(self.guard, job)
        self.scheduler.run_all()
        while not self.stopping:
            self.scheduler.run_pending()
            if (self.scheduler.idle_seconds or 0) > MOST_IDLE_SECONDS:
                self.scheduler.run_all()  # the wall clock was set back: start counting anew
            time.sleep(TICK_SECONDS)

    def guard(self, job: Callable[[], object]) -> None:
        """A job that raised would never be scheduled again, and would block those behind it."""
        try:
            job()
        except OperationalError:
            log.warning("%s: the database does not answer; again in a minute", job.__name__)
            if not self.scheduler.get_jobs(job.__name__):
                self.scheduler.every(1).minutes.do(self.run_once_more, job).tag(job.__name__)
        except Exception:
            log.exception("%s failed", job.__name__)

    def run_once_more(self, job: Callable[[], object]) -> type[schedule.CancelJob]:
        self.guard(job)
        return schedule.CancelJob

    def run_cycle(self) -> None:
        self.cycle.run()

    def send_messages(self) -> None:
        self.messenger.send_due(self.is_stopping)

    def beat(self) -> None:
        with self.sessions.begin() as session:
            heartbeats.beat(session, "daemon", self.cycle.started_at, now())

    def run_once(self) -> None:
        wait_until_ready(self.engine, self.is_stopping)
        self.cycle.run()
        self.messenger.send_due(self.is_stopping)

    def replay(self) -> None:
        wait_until_ready(self.engine, self.is_stopping)
        read = partial(read_event, default_company=self.settings.whop_company_id)
        with self.sessions.begin() as session:
            left = events.replay(session, now(), self.settings.rules, read)
        print(f"{left} event(s) still cannot be applied.", flush=True)


def make_client(settings: DaemonSettings, sessions: SessionFactory) -> WhopClient:
    key = settings.whop_api_key.get_secret_value()
    pace = SharedPace(sessions, settings.whop_rate_per_minute, fingerprint(key))
    return WhopClient(settings.whop_api_url, key, settings.whop_api_version, pace, now)


def make_mailer(settings: DaemonSettings) -> Mailer | None:
    if not settings.email_enabled:
        return None
    key = settings.sendgrid_api_key.get_secret_value()
    return Mailer(make_courier(key, settings.sendgrid_api_url), settings.email_from)


def run_until_signal(daemon: Daemon, job: Callable[[], None]) -> int:
    """The work runs beside; this thread only waits, so that a stop never waits for a bank."""

    def stop(number: int, frame: object) -> None:
        daemon.stopping = True  # a flag, no lock: a handler may interrupt anything

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    finished = threading.Event()

    def work() -> None:
        job()
        finished.set()

    worker = threading.Thread(target=work, name="work", daemon=True)
    worker.start()
    while worker.is_alive() and not daemon.stopping:
        worker.join(TICK_SECONDS)
    if daemon.stopping:
        log.info("stopping; an attempt in hand is finished, or left open for the next start")
        worker.join(GRACE_SECONDS)
        return 0
    return 0 if finished.is_set() else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m daemon", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "once", "replay"], default="run")
    command = parser.parse_args().command
    settings = load_settings(DaemonSettings)
    configure_logging(settings.log_level, settings.log_format)
    daemon = Daemon(settings)
    jobs = {"run": daemon.run, "once": daemon.run_once, "replay": daemon.replay}
    return run_until_signal(daemon, jobs[command])


if __name__ == "__main__":
    sys.exit(main())
