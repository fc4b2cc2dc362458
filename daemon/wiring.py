"""The daemon's objects and how they hold together, made in one place: for the process, for the
demo's past, and for tests that live through a daemon's hours."""

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
from recovery.retry_policy import RetryRules
from whop.client import WhopClient
from whop.payloads import read_event


@dataclass(frozen=True, slots=True)
class Plan:
    """How this daemon is to work.

    `credential` names our key at Whop without giving it away. `company_id` is read from the first
    day on. Without `link_to_stop` no message offers to send no more. `reads_back`: whether a cycle
    asks Whop for what the webhooks may have missed.
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
class Jobs:
    """All that one daemon does, each to be run by itself."""

    read: Reader
    reconciler: Reconciler
    replayer: Replayer
    cycle: Cycle
    message_sender: MessageSender
    notifier: CreatorNotifier


def build(
    plan: Plan,
    sessions: SessionFactory,
    whop: WhopClient,
    mailer: EmailClient | None,
    poster: PostClient,
    clock: Callable[[], datetime],
    stopping: Callable[[], bool] = never,
) -> Jobs:
    read = partial(read_event, default_company=plan.company_id)
    retrier = Retrier(sessions, whop, plan.rules, clock, plan.credential)
    reconciler = Reconciler(sessions, whop, plan.rules, clock, read, plan.company_id, stopping)
    reading = reconciler if plan.reads_back else None
    chat = SupportChat(whop)
    return Jobs(
        read,
        reconciler,
        Replayer(sessions, plan.rules, clock, read, stopping),
        Cycle(sessions, retrier, clock, reading, plan.workers, stopping),
        MessageSender(sessions, whop, mailer, clock, chat, plan.senders, plan.link_to_stop),
        CreatorNotifier(sessions, mailer, poster, clock, plan.rules.interval, plan.dashboard_url),
    )
