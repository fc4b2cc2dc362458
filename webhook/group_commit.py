"""One commit for many requests: concurrent deliveries share a transaction.

A request hands its event over and waits; one thread takes all that wait, records them together,
and only then are they answered. So 200 means on disk, and a commit's cost is shared.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from db.ledger import inbox as events
from db.ledger.inbox import Event, Reader
from db.ledger.payments import WrongCompanyError
from db.models import JsonText
from db.session import (
    LIMIT_EXCEEDED,
    DatabaseUnavailable,
    SessionFactory,
    find_code,
    find_outage,
    is_transient,
)
from recovery.retry_policy import RetryRules
from webhook import metrics
from webhook.settings_cache import SettingsCache
from whop.values import PayloadError

log = logging.getLogger(__name__)

LARGEST_BATCH = 128
TRIES = 3
# Beyond this the answer is 503 at once: Whop delivers again, memory stays bounded.
LONGEST_QUEUE = 5_000


class UnstorableError(Exception):
    """422: this event can never be recorded."""


# Nothing was stored. Each is one answer to the sender; the first is 503: deliver again.
Refused: TypeAlias = DatabaseUnavailable | UnstorableError


@dataclass(slots=True)
class Waiting:
    """A delivery whose sender waits for `answered`, a future of `loop`."""

    event: Event
    answered: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class GroupCommit:
    """Owns the writer thread. `now` is the clock, read once per batch."""

    def __init__(
        self,
        sessions: SessionFactory,
        rules: RetryRules,
        read: Reader,
        now: Callable[[], datetime],
    ) -> None:
        self.sessions, self.rules, self.read, self.now = sessions, rules, read, now
        self.recovery_settings = SettingsCache(sessions)
        self.gathered: list[Waiting] = []
        self.handed_over: queue.SimpleQueue[list[Waiting] | None] = queue.SimpleQueue()
        self.unanswered = 0
        self.thread = threading.Thread(target=self.run, name="inbox", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """Records what has been handed over, then ends."""
        self.handed_over.put(None)
        self.thread.join()

    async def put(self, event: Event) -> None:
        """Returns when the event and its payment are on disk. Raises DatabaseUnavailable and
        UnstorableError."""
        if self.unanswered >= LONGEST_QUEUE:
            raise DatabaseUnavailable(words="too many events are waiting to be stored")
        loop = asyncio.get_running_loop()
        waiting = Waiting(event, loop.create_future(), loop)
        if not self.gathered:
            # After all that the loop has ready now: handing over one by one would wake the thread
            # for the first, and the rest would wait for the next commit.
            loop.call_soon(self.hand_over)
        self.gathered.append(waiting)
        self.unanswered += 1
        try:
            await waiting.answered  # invariant 1: 200 only after the commit
        finally:
            self.unanswered -= 1

    def hand_over(self) -> None:
        self.handed_over.put(self.gathered)
        self.gathered = []

    def run(self) -> None:
        stopped = False
        while not stopped:
            batch, stopped = self.take()
            for start in range(0, len(batch), LARGEST_BATCH):
                self.answer(batch[start : start + LARGEST_BATCH])

    def take(self) -> tuple[list[Waiting], bool]:
        """Everything that waits, and whether it is the last."""
        batch: list[Waiting] = []
        group = self.handed_over.get()
        while group is not None:
            batch += group
            try:
                group = self.handed_over.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def answer(self, batch: list[Waiting]) -> None:
        outcomes: Sequence[Refused | None]
        try:
            outcomes = self.record_all([waiting.event for waiting in batch])
        except Exception:
            # A bug of ours must not end this thread: after it nobody would be answered.
            log.exception("%d event(s) not recorded", len(batch))
            outcomes = [DatabaseUnavailable(words="it could not be stored")] * len(batch)
        # One wake-up of the loop for the whole batch.
        batch[0].loop.call_soon_threadsafe(settle, batch, outcomes)

    def record_all(self, batch: list[Event]) -> list[Refused | None]:
        """Together, or, when one of them spoils it, each on its own."""
        metrics.BATCH_SIZE.observe(len(batch))
        error = self.record(batch)
        if error is None or isinstance(error, DatabaseUnavailable):
            return [error] * len(batch)
        if len(batch) == 1:
            return [self.record_poison(batch[0], error)]
        # invariant 10: one bad event does not spoil its batch
        return [outcome for event in batch for outcome in self.record_all([event])]

    def record(self, batch: list[Event]) -> Refused | None:
        now = self.now()
        starting = {event.starter.company_id for event in batch if event.starter}
        fresh = False
        for _ in range(TRIES):
            try:
                recovery_settings = self.recovery_settings.find(starting, now)
                with self.sessions.begin() as session:
                    events.record(session, batch, now, self.rules, self.read, recovery_settings)
                return None
            except (SQLAlchemyError, ValueError, WrongCompanyError) as error:
                if is_transient(error):
                    continue  # asking the server beforehand each time would cost a round trip
                if outage := find_outage(error):
                    return DatabaseUnavailable(outage)
                if (
                    isinstance(error, IntegrityError)
                    and not fresh
                    and self.recovery_settings.forget()
                ):
                    fresh = True  # a company that was known may be gone
                    continue
                log.warning("%d event(s) not recorded: %s", len(batch), type(error).__name__)
                return UnstorableError(explain(error))
        return DatabaseUnavailable()

    def record_poison(self, event: Event, error: Refused) -> Refused:
        """Stored without being applied, with its error, so that it can be seen and replayed."""
        poison = replace(event, parsed=None, error=str(error))
        outcome = self.record([poison])
        if isinstance(outcome, UnstorableError):
            outcome = self.record([replace(poison, payload=JsonText("null"))])
        return outcome or error


def explain(error: Exception) -> str:
    """Ours say what is wrong; a library's text may quote rows, so only its kind is told."""
    if isinstance(error, (WrongCompanyError, PayloadError)):
        return str(error)
    if find_code(error).startswith(LIMIT_EXCEEDED):
        return "it is too long or too deeply nested to be stored"
    return f"it cannot be stored ({type(error).__name__})"


def settle(batch: list[Waiting], outcomes: Sequence[Refused | None]) -> None:
    for waiting, error in zip(batch, outcomes, strict=True):
        if waiting.answered.done():  # the sender has hung up
            continue
        if error is None:
            waiting.answered.set_result(None)
        else:
            waiting.answered.set_exception(error)
