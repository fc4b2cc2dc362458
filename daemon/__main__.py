"""`python -m daemon` runs until it is stopped; `once` one cycle; `replay` the poison events; `stop`
and `hasten` ask for something about one payment; `preview` writes the messages to files."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from daemon import commands
from daemon.chat import SupportChat
from daemon.cycle import WORKERS, Cycle
from daemon.loop import SOON, Loop
from daemon.messages import SENDERS, Messenger
from daemon.notices import Herald
from daemon.posts import Poster
from daemon.reconcile import Reconciler
from daemon.replays import Replayer
from daemon.retries import Retrier
from daemon.settings import DaemonSettings
from db.audit_log import COMMAND
from db.ledger import requests
from db.logs import configure_logging
from db.rate_limit import SharedPace, fingerprint
from db.session import connect, database_url, now, session_factory, wait_until_ready
from db.settings import load_settings
from mail.links import make_unsubscribe_url
from recovery.status import RequestKind
from whop.client import WhopClient
from whop.payloads import read_event

if TYPE_CHECKING:
    from daemon.mailer import Mailer

log = logging.getLogger("daemon")


class Daemon:
    """The jobs and the two loops that drive them: a long cycle must not hold up a request or a
    message."""

    def __init__(self, settings: DaemonSettings) -> None:
        self.settings = settings
        self.stopping = False
        self.engine = connect(database_url(settings), "daemon", pool_size=WORKERS)
        self.sessions = session_factory(self.engine)
        self.read = partial(read_event, default_company=settings.whop_company_id)
        key = settings.whop_api_key.get_secret_value()
        credential = fingerprint(key)
        pace = SharedPace(self.sessions, settings.whop_rate_per_minute, credential)
        self.whop = WhopClient(settings.whop_api_url, key, settings.whop_api_version, pace, now)
        retrier = Retrier(self.sessions, self.whop, settings.rules, now, credential)
        reconciler = Reconciler(
            self.sessions,
            self.whop,
            settings.rules,
            now,
            self.read,
            settings.whop_company_id,
            self.is_stopping,
        )
        self.replayer = Replayer(self.sessions, settings.rules, now, self.read, self.is_stopping)
        self.cycle = Cycle(self.sessions, retrier, now, reconciler, stopping=self.is_stopping)
        mailer = make_mailer(settings)
        self.messenger = Messenger(
            self.sessions,
            self.whop,
            mailer,
            now,
            chat=SupportChat(self.whop),
            workers=SENDERS,
            link_to_stop=make_links(settings),
        )
        self.herald = Herald(
            self.sessions,
            mailer,
            Poster(settings.in_development),
            now,
            settings.rules.interval,
            settings.frontend_url,
        )

    def stop(self) -> None:
        self.stopping = True

    def is_stopping(self) -> bool:
        return self.stopping

    def run(self) -> None:
        if not wait_until_ready(self.engine, self.is_stopping):
            return
        minutes = self.settings.retry_interval_minutes
        log.info("started; a cycle every %d min", minutes)
        often = Loop(
            (1, self.send_messages),
            (1, self.honour_requests),
            (1, self.replay_if_asked),
            (1, self.beat),
            (1, self.tell_creators),
        )
        beside = threading.Thread(target=often.run, args=[self.is_stopping], daemon=True)
        beside.start()
        Loop((minutes, self.run_cycle)).run(self.is_stopping)
        beside.join()

    def run_cycle(self) -> object:
        """A Whop that is down ends a cycle early; what is left need not wait for an hour."""
        self.cycle.run()
        return SOON if self.whop.circuit.is_resting() else None

    def send_messages(self) -> None:
        self.messenger.send_due(self.is_stopping)

    def tell_creators(self) -> None:
        self.herald.tell_due(self.is_stopping)

    def honour_requests(self) -> None:
        self.cycle.honour_requests()

    def replay_if_asked(self) -> None:
        self.replayer.honour()

    def beat(self) -> None:
        with self.sessions.begin() as session:
            self.cycle.beat(session, now())

    def run_once(self) -> None:
        wait_until_ready(self.engine, self.is_stopping)
        self.cycle.honour_requests()
        self.replay_if_asked()
        self.cycle.run()
        self.messenger.send_due(self.is_stopping)
        self.herald.tell_due(self.is_stopping)

    def replay(self) -> None:
        wait_until_ready(self.engine, self.is_stopping)
        left = self.replayer.replay_all(COMMAND)
        print(f"{left} event(s) still cannot be applied.", flush=True)

    def ask(self, kind: RequestKind, payment_id: str) -> None:
        """A request row, for the daemon that runs to honour."""
        wait_until_ready(self.engine, self.is_stopping)
        try:
            with self.sessions.begin() as session:
                requests.ask(session, payment_id, kind, COMMAND, now())
        except requests.UnknownPaymentError as error:
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(1) from None
        print("Asked for. The daemon does it within a minute and logs what came of it.", flush=True)


def make_links(settings: DaemonSettings) -> Callable[[int], str] | None:
    secret = settings.link_secret.get_secret_value()
    return partial(make_unsubscribe_url, settings.base_url, secret) if secret else None


def make_mailer(settings: DaemonSettings) -> Mailer | None:
    if not settings.email_enabled:
        return None
    # Here, since SendGrid's package weighs a tenth of this process: only who sends mail carries it.
    from daemon.mailer import Mailer, make_courier

    key = settings.sendgrid_api_key.get_secret_value()
    return Mailer(
        make_courier(key, settings.sendgrid_api_url),
        settings.email_from,
        sandbox_mode=settings.sendgrid_sandbox_mode,
    )


def main() -> int:
    arguments = commands.parse_arguments(__doc__)
    if arguments.command == "preview":
        return commands.preview(arguments.folder)
    settings = load_settings(DaemonSettings)
    configure_logging(settings.log_level, settings.log_format)
    daemon = Daemon(settings)
    match arguments.command:
        case "once":
            job = daemon.run_once
        case "replay":
            job = daemon.replay
        case RequestKind.STOP | RequestKind.HASTEN as kind:
            job = partial(daemon.ask, RequestKind(kind), arguments.payment_id)
        case _:
            job = daemon.run
    return commands.run_until_signal(job, daemon.stop, daemon.is_stopping)


if __name__ == "__main__":
    sys.exit(main())
