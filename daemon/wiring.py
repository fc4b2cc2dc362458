"""Builds the daemon's services in one place: for the process, the demo's history, and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from daemon.chat import SupportChat
from daemon.clients import EmailClient, PostClient
from daemon.cycle import WORKERS, Cycle
from daemon.messages import SENDERS, MessageSender
from daemon.notices import CreatorNotifier
from daemon.reconcile import Reconciler
from daemon.replays import Replayer
from daemon.retries import Retrier
from daemon.workers import never
from db.ledger.inbox import Reader
from db.session import SessionFactory
from recovery.retrying.context import RetryRules
from whop.client import WhopClient
from whop.payloads import read_event


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """`credential` is a fingerprint of our API key, not the key itself.

    `company_id` is synced from the start. Without `link_to_stop` messages have no unsubscribe
    link. `reads_back`: whether a cycle reads from Whop what webhooks may have missed.
    """

    rules: RetryRules
    credential: str
    company_id: str | None
    dashboard_url: str = "http://localhost:3000"
    link_to_stop: Callable[[int], str] | None = None
    reads_back: bool = True
    workers: int = WORKERS
    senders: int = SENDERS


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one daemon. Each can be run by itself."""

    read: Reader
    reconciler: Reconciler
    replayer: Replayer
    cycle: Cycle
    message_sender: MessageSender
    notifier: CreatorNotifier


def build(
    config: DaemonConfig,
    sessions: SessionFactory,
    whop: WhopClient,
    mailer: EmailClient | None,
    poster: PostClient,
    clock: Callable[[], datetime],
    stopping: Callable[[], bool] = never,
) -> Services:
    read = partial(read_event, default_company=config.company_id)
    retrier = Retrier(sessions, whop, config.rules, clock, config.credential)
    reconciler = Reconciler(sessions, whop, config.rules, clock, read, config.company_id, stopping)
    reading = reconciler if config.reads_back else None
    chat = SupportChat(whop)
    return Services(
        read,
        reconciler,
        Replayer(sessions, config.rules, clock, read, stopping),
        Cycle(sessions, retrier, clock, reading, config.workers, stopping),
        MessageSender(sessions, whop, mailer, clock, chat, config.senders, config.link_to_stop),
        CreatorNotifier(
            sessions, mailer, poster, clock, config.rules.interval, config.dashboard_url
        ),
    )
