"""The daemon process: its services, built from the environment, and the two loops that run them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from daemon.clients import EmailClient
from daemon.cycle import WORKERS
from daemon.loop import RUN_AGAIN_SOON, Loop
from daemon.posts import Poster
from daemon.settings import DaemonSettings
from daemon.wiring import DaemonConfig, build
from db.rate_limit import SharedRateLimit, fingerprint
from db.session import (
    SessionFactory,
    check_schema,
    connect,
    database_url,
    now,
    session_factory,
    wait_until_ready,
)
from mail.links import make_unsubscribe_url
from whop.client import WhopClient
from whop.rate_limit import find_longest_wait

log = logging.getLogger("daemon")


class Daemon:
    """Two loops, so that a long cycle does not delay requests and messages."""

    def __init__(self, settings: DaemonSettings) -> None:
        self.settings = settings
        self.stopping = False
        self.engine = connect(database_url(settings), "daemon", pool_size=WORKERS)
        self.sessions = session_factory(self.engine)
        self.whop = make_whop(settings, self.sessions)
        self.services = build(
            make_config(settings),
            self.sessions,
            self.whop,
            make_mailer(settings),
            Poster(settings.in_development),
            now,
            self.is_stopping,
        )

    def stop(self) -> None:
        self.stopping = True

    def is_stopping(self) -> bool:
        return self.stopping

    def wait_until_ready(self) -> bool:
        """False: the daemon was stopped while waiting."""
        return wait_until_ready(self.engine, self.is_stopping)

    def run(self) -> None:
        if not self.wait_until_ready():
            return
        minutes = self.settings.retry_interval_minutes
        log.info("started; one cycle every %d min", minutes)
        minute_loop = Loop(
            (1, self.send_messages),
            (1, self.fulfil_requests),
            (1, self.replay_requested),
            (1, self.write_diary),
            (1, self.beat),
            (1, self.notify_creators),
            check=self.check_schema,
        )
        minute_thread = threading.Thread(
            target=minute_loop.run, args=[self.is_stopping], daemon=True
        )
        minute_thread.start()
        Loop((minutes, self.run_cycle), check=self.check_schema).run(self.is_stopping)
        minute_thread.join()

    def check_schema(self) -> None:
        """Raises DatabaseUnavailable if a migration has run since the start: this code is then too
        old to write."""
        check_schema(self.engine)

    def run_once(self) -> None:
        self.wait_until_ready()
        self.fulfil_requests()
        self.replay_requested()
        self.write_diary()
        self.run_cycle()
        self.send_messages()
        self.notify_creators()

    def run_cycle(self) -> object:
        """If Whop is down the cycle ends early, and the rest is tried again in a minute."""
        self.services.cycle.run()
        return RUN_AGAIN_SOON if self.whop.circuit.is_open() else None

    def send_messages(self) -> None:
        self.services.message_sender.send_due(self.is_stopping)

    def notify_creators(self) -> None:
        self.services.notifier.notify_due(self.is_stopping)

    def fulfil_requests(self) -> None:
        self.services.cycle.fulfil_requests()

    def replay_requested(self) -> None:
        self.services.replayer.replay_requested()

    def write_diary(self) -> None:
        self.services.cycle.write_diary()

    def beat(self) -> None:
        with self.sessions.begin() as session:
            self.services.cycle.beat(session, now())


# --- from the environment ------------------------------------------------------------------------


def make_config(settings: DaemonSettings) -> DaemonConfig:
    return DaemonConfig(
        settings.rules,
        fingerprint(settings.whop_api_key.get_secret_value()),
        settings.whop_company_id,
        settings.frontend_url,
        make_links(settings),
    )


def make_whop(settings: DaemonSettings, sessions: SessionFactory) -> WhopClient:
    key = settings.whop_api_key.get_secret_value()
    per_minute = settings.whop_rate_per_minute
    rate_limit = SharedRateLimit(
        sessions, per_minute, fingerprint(key), find_longest_wait(per_minute)
    )
    return WhopClient(settings.whop_api_url, key, settings.whop_api_version, rate_limit, now)


def make_links(settings: DaemonSettings) -> Callable[[int], str] | None:
    secret = settings.link_secret.get_secret_value()
    return partial(make_unsubscribe_url, settings.base_url, secret) if secret else None


def make_mailer(settings: DaemonSettings) -> EmailClient | None:
    if not settings.email_enabled:
        return None
    # Imported here, because SendGrid's package takes a tenth of this process's memory.
    from daemon.mailer import Mailer, make_sendgrid_client

    key = settings.sendgrid_api_key.get_secret_value()
    return Mailer(
        make_sendgrid_client(key, settings.sendgrid_api_url),
        settings.email_from,
        sandbox_mode=settings.sendgrid_sandbox_mode,
    )
