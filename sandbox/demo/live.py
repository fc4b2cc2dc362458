"""The live demo: a real clock, renewals that keep failing, webhooks over HTTP."""

import logging
import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Event, Thread

import httpx
import uvicorn

from sandbox.model.pace import LIVE
from sandbox.model.records import Company
from sandbox.servers.app import create_app
from sandbox.state.store import Store
from sandbox.wire.mail_signing import SENDGRID_KEY, Signer
from sandbox.wire.webhooks import Deliver
from sandbox.world.world import World

logger = logging.getLogger("sandbox")

TICK_SECONDS = 1.0
ANSWER_WITHIN_SECONDS = 5.0
BUSY = timedelta(minutes=30)
CALM_SHARE = 0.1


@dataclass(frozen=True)
class Settings:
    host: str = "127.0.0.1"
    port: int = 9000
    file: Path = Path(".data/sandbox.sqlite")
    failures_per_minute: float = 5.0
    seed: int | None = None
    company_id: str = "biz_demo"
    webhook_secret: str = "ws_sandbox_secret"
    webhook_url: str = "http://localhost:8000/webhook/whop"
    api_key: str = "apik_sandbox"
    sendgrid_key: str = SENDGRID_KEY
    mail_events_url: str = "http://localhost:8000/webhook/sendgrid"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """An empty variable counts as absent."""
    usual = Settings()
    given = {name: value for name, value in environment.items() if value}
    seed = given.get("SANDBOX_SEED")
    return Settings(
        host=given.get("SANDBOX_HOST", usual.host),
        port=int(given.get("SANDBOX_PORT", usual.port)),
        file=Path(given.get("SANDBOX_FILE", usual.file)),
        failures_per_minute=float(
            given.get("SANDBOX_FAILURES_PER_MINUTE", usual.failures_per_minute)
        ),
        seed=int(seed) if seed else None,
        company_id=given.get("WHOP_COMPANY_ID", usual.company_id),
        # The receiver may be given several; Whop signs with one.
        webhook_secret=given.get("WHOP_WEBHOOK_SECRET", usual.webhook_secret).split(",")[0].strip(),
        webhook_url=given.get("WEBHOOK_URL", usual.webhook_url),
        api_key=given.get("WHOP_API_KEY", usual.api_key),
        sendgrid_key=given.get("SENDGRID_API_KEY", usual.sendgrid_key),
        mail_events_url=given.get("MAIL_EVENTS_URL", usual.mail_events_url),
    )


def real_clock() -> datetime:
    return datetime.now(UTC)


def over_http(url: str) -> Deliver:
    client = httpx.Client(timeout=ANSWER_WITHIN_SECONDS)

    def deliver(headers: dict[str, str], body: bytes) -> int:
        try:
            return client.post(url, headers=headers, content=body).status_code
        except httpx.HTTPError:
            return 0

    return deliver


def live_world(settings: Settings) -> World:
    return World(
        Store(settings.file),
        company=Company(settings.company_id),
        pace=LIVE,
        seed=secrets.randbits(32) if settings.seed is None else settings.seed,
        webhook_secret=settings.webhook_secret,
        deliver=over_http(settings.webhook_url),
        deliver_mail_events=over_http(settings.mail_events_url),
        mail_signer=Signer(settings.sendgrid_key),
        # Stamped when sent: what fell due while the sandbox was off would be too old otherwise.
        sent_at=lambda due: real_clock(),
    )


class Ticker:
    """Advances the world about once a second, and makes renewals fail now and then."""

    def __init__(self, world: World, failures_per_minute: float, started_at: datetime) -> None:
        self.world = world
        self.rate = failures_per_minute
        self.random = Random(world.seed)
        self.busy_until = started_at + BUSY
        self.next_failure: datetime | None = None
        self.stopped = Event()
        self.thread = Thread(target=self.run, name="sandbox-ticker", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """A delivery under way is abandoned: it is sent again after the next start."""
        self.stopped.set()
        self.thread.join(timeout=1.0)

    def tick(self, now: datetime) -> None:
        self.world.advance(now)
        if self.rate <= 0:
            return
        if self.next_failure is None:
            self.next_failure = now + timedelta(seconds=2)
        if now >= self.next_failure:
            self.next_failure = now + self.draw_pause(now)
            self.world.fail_renewal(now)

    def draw_pause(self, now: datetime) -> timedelta:
        rate = self.rate if now < self.busy_until else self.rate * CALM_SHARE
        return timedelta(minutes=1 / rate) * self.random.uniform(0.66, 1.25)

    def run(self) -> None:
        while not self.stopped.wait(TICK_SECONDS):
            try:
                self.tick(real_clock())
            except Exception:
                logger.exception("a step of the sandbox failed; it goes on")


def run(settings: Settings) -> None:
    world = live_world(settings)
    app = create_app(
        world, real_clock, api_keys=[settings.api_key], sendgrid_keys=[settings.sendgrid_key]
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    # uvicorn stops at these signals and then raises them again, which must not kill the process.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda number, frame: None)
    ticker = Ticker(world, settings.failures_per_minute, real_clock())
    ticker.start()
    try:
        uvicorn.Server(config).run()
    finally:
        ticker.stop()
        world.store.close()
