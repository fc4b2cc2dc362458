"""A simulated Whop, a receiver and a daemon in one process, on one simulated clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import httpx
from python_http_client.exceptions import HTTPError
from sendgrid.helpers.mail import Mail
from sqlalchemy import BindParameter, bindparam, exists, or_, select

from daemon.mailer import Mailer
from daemon.posts import Poster
from daemon.wiring import DaemonConfig, Services, build
from db.ledger.attribution import record_mail_events
from db.models import Attempt, Message, Payment
from db.rate_limit import fingerprint
from db.session import SessionFactory
from mail.events import read_events
from mail.signature import TIMESTAMP, load_key
from mail.signature import verify_signature as verify_mail_signature
from recovery.retrying.context import RetryRules
from recovery.status import UNPAID, UNSETTLED, MessageState
from sandbox.demo.live import Settings
from sandbox.model.assumptions import Assumptions
from sandbox.model.levels import MIDDLE
from sandbox.model.pace import HISTORY
from sandbox.model.records import Company
from sandbox.servers.sendgrid import PATH as MAIL_PATH
from sandbox.servers.transport import InProcess
from sandbox.state.store import Store
from sandbox.wire.mail_signing import Signer
from sandbox.world.world import World
from webhook.group_commit import GroupCommit
from webhook.verification import read_delivery
from whop.client import WhopClient
from whop.rate_limit import RateLimit
from whop.signature import read_timestamp, verify_signature

SEED = 20_26
API_VERSION = "2026-10-15-1"
# Calls a minute: no limit, because simulated time does not pass during a cycle.
NO_LIMIT = 10**9
SENDER = "Lantern Academy <billing@example.com>"

NOW: BindParameter[datetime] = bindparam("now")
DUE = or_(Payment.next_retry_at <= NOW, Payment.window_ends_at <= NOW)
# Built once, because it runs for every hour of six months.
ANY_WORK = select(
    exists().where(Payment.status.in_(UNPAID), DUE)
    | exists().where(Payment.next_message_at <= NOW)
    | exists().where(Message.state == MessageState.QUEUED, Message.due_at <= NOW)
    | exists().where(Attempt.outcome.in_(UNSETTLED))
)


class Clock:
    """The simulated clock that all parts share."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def skip_waiting(seconds: float) -> None:
    """In simulated time nobody waits."""


class InProcessSendGrid:
    """Sends emails to the simulated SendGrid without a socket."""

    def __init__(self, transport: httpx.BaseTransport, key: str) -> None:
        self.http = httpx.Client(
            base_url="http://sandbox",
            transport=transport,
            headers={"Authorization": f"Bearer {key}"},
        )

    def send(self, message: Mail) -> httpx.Response:
        """Raises what SendGrid's own client raises."""
        try:
            response = self.http.post(MAIL_PATH, json=message.get())
        except httpx.TransportError as error:
            raise TimeoutError(str(error)) from None
        if response.is_error:
            raise HTTPError(response.status_code, "", response.content, {})
        return response


class InProcessStack:
    def __init__(
        self,
        sessions: SessionFactory,
        settings: Settings,
        start: datetime,
        rules: RetryRules | None = None,
        assumed: Assumptions = MIDDLE,
    ) -> None:
        self.sessions, self.settings = sessions, settings
        self.clock = Clock(start)
        self.world = self.make_world(assumed)
        self.mail_key = load_key(self.world.mail_signer.public_key)
        self.rules = rules or RetryRules()
        self.transport = InProcess(
            self.world,
            self.clock,
            api_keys=[settings.api_key],
            sendgrid_keys=[settings.sendgrid_key],
        )
        self.services = services = self.start_daemon()
        self.group_commit = GroupCommit(sessions, self.rules, services.read, self.clock)
        self.cycle, self.reconciler = services.cycle, services.reconciler
        self.message_sender, self.notifier = services.message_sender, services.notifier

    def make_world(self, assumed: Assumptions) -> World:
        settings = self.settings
        return World(
            Store(settings.file),
            company=Company(settings.company_id),
            pace=HISTORY,
            assumed=assumed,
            seed=SEED if settings.seed is None else settings.seed,
            webhook_secret=settings.webhook_secret,
            deliver=self.receive,
            deliver_mail_events=self.receive_mail_events,
            mail_signer=Signer(settings.sendgrid_key),
        )

    def start_daemon(self) -> Services:
        key = self.settings.api_key
        # No hourly sync: every webhook arrives, so it would find nothing, slowly.
        # One thread, because there is one clock.
        config = DaemonConfig(
            self.rules,
            fingerprint(key),
            self.settings.company_id,
            reads_back=False,
            workers=1,
            senders=1,
        )
        sendgrid_client = InProcessSendGrid(self.transport, self.settings.sendgrid_key)
        mailer = Mailer(sendgrid_client, SENDER, clock=self.clock)
        poster = Poster(in_development=True, transport=self.transport)
        return build(config, self.sessions, self.make_client(key), mailer, poster, self.clock)

    def make_client(self, key: str, clock: Callable[[], datetime] | None = None) -> WhopClient:
        """A client with this key. `clock` is given for a daemon whose clock is wrong."""
        clock = clock or self.clock
        return WhopClient(
            "http://sandbox/api/v1",
            key,
            API_VERSION,
            RateLimit(NO_LIMIT, lambda: self.clock().timestamp(), skip_waiting),
            clock,
            self.transport,
            skip_waiting,
        )

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        """Receives a delivery as the receiver does, without a socket. Returns the status."""
        self.clock.now = max(self.clock.now, read_timestamp(headers["webhook-timestamp"]))
        secrets = (self.settings.webhook_secret,)
        event_id = verify_signature(secrets, headers, body, self.clock.now)
        event = read_delivery(event_id, body, self.clock.now, self.settings.company_id)
        (problem,) = self.group_commit.record_all([event])
        return 200 if problem is None else 422

    def receive_mail_events(self, headers: dict[str, str], body: bytes) -> int:
        self.clock.now = max(self.clock.now, read_timestamp(headers[TIMESTAMP]))
        verify_mail_signature(self.mail_key, headers, body, self.clock.now)
        with self.sessions.begin() as session:
            record_mail_events(session, read_events(body, self.clock.now), self.clock.now)
        return 200

    def run_hour(self, hour: datetime, failures: list[datetime]) -> None:
        for failed_at in failures:
            self.world.advance(failed_at)
            self.fail_renewal(failed_at)
        self.world.advance(hour)
        self.clock.now = hour
        if self.has_work():
            # No notices, because the demo's creator has not switched them on.
            self.message_sender.send_due()
            self.cycle.run()

    def fail_renewal(self, at: datetime) -> str:
        return self.world.fail_renewal(at)

    def has_work(self) -> bool:
        """Whether the daemon has work in this hour. If not, its queries are skipped."""
        with self.sessions() as session:
            return bool(session.scalar(ANY_WORK, {"now": self.clock.now}))
