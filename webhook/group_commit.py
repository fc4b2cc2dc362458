"""Group commit: concurrent deliveries share one transaction.

Each request queues its event and waits. One writer thread takes all queued events, records them in
one transaction, and only then are the requests answered. So 200 means that the event is on disk,
and the cost of a commit is shared.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from db.ledger import inbox as events
from db.ledger.inbox import Event, Reader
from db.ledger.payments import WrongCompanyError
from db.outages import DatabaseUnavailable, Outage, find_outage, is_transient
from db.session import KeptSession, SessionFactory
from db.sqlstates import Fault
from recovery.retrying.context import RetryRules
from webhook import metrics
from webhook.settings_cache import SettingsCache
from webhook.store_errors import UNSTORED, StoreError, UnstorableError, blame, explain

log = logging.getLogger(__name__)

LARGEST_BATCH = 128
TRIES = 3
# Beyond this the answer is 503 at once: Whop delivers again, and memory stays bounded.
LONGEST_QUEUE = 5_000


@dataclass(slots=True)
class PendingEvent:
    """An event whose request waits for `stored`, a future of `loop`."""

    event: Event
    stored: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class GroupCommit:
    """Owns the writer thread. The clock `now` is read once per batch."""

    def __init__(
        self,
        sessions: SessionFactory,
        rules: RetryRules,
        read: Reader,
        now: Callable[[], datetime],
    ) -> None:
        self.rules, self.read, self.now = rules, read, now
        self.sessions: SessionFactory | KeptSession = sessions
        self.kept = KeptSession(sessions)
        self.recovery_settings = SettingsCache(self.begin)
        self.pending: list[PendingEvent] = []
        self.batches: queue.SimpleQueue[list[PendingEvent] | None] = queue.SimpleQueue()
        self.unanswered = 0
        self.thread = threading.Thread(target=self.run, name="group-commit", daemon=True)

    def start(self) -> None:
        self.sessions = self.kept
        self.thread.start()

    def stop(self) -> None:
        """Records what is queued, then ends the thread."""
        self.batches.put(None)
        self.thread.join()
        self.kept.close()

    async def commit(self, event: Event) -> None:
        """Returns when the event and its payment are on disk.

        Raises DatabaseUnavailable and UnstorableError.
        """
        if self.unanswered >= LONGEST_QUEUE:
            raise DatabaseUnavailable(words="too many events are waiting to be stored")
        loop = asyncio.get_running_loop()
        waiting = PendingEvent(event, loop.create_future(), loop)
        if not self.pending:
            # Runs after everything the loop has ready now. Queued one by one, the first event would
            # wake the thread and the rest would wait for the next commit.
            loop.call_soon(self.flush)
        self.pending.append(waiting)
        self.unanswered += 1
        try:
            await waiting.stored  # invariant 1: 200 only after the commit
        finally:
            self.unanswered -= 1

    def flush(self) -> None:
        self.batches.put(self.pending)
        self.pending = []

    def run(self) -> None:
        stopped = False
        while not stopped:
            batch, stopped = self.take_batch()
            for start in range(0, len(batch), LARGEST_BATCH):
                self.store_and_answer(batch[start : start + LARGEST_BATCH])

    def begin(self) -> AbstractContextManager[Session]:
        return self.sessions.begin()

    def take_batch(self) -> tuple[list[PendingEvent], bool]:
        """All queued events, and whether the thread has been asked to stop."""
        batch: list[PendingEvent] = []
        group = self.batches.get()
        while group is not None:
            batch += group
            try:
                group = self.batches.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def store_and_answer(self, batch: list[PendingEvent]) -> None:
        outcomes: Sequence[StoreError | None]
        try:
            outcomes = self.record_all([waiting.event for waiting in batch])
        except Exception:
            # A bug must not end this thread: no request would be answered any more.
            log.exception("could not record %d event(s)", len(batch))
            outcomes = [DatabaseUnavailable(words=UNSTORED)] * len(batch)
        # Wakes the loop once for the whole batch.
        batch[0].loop.call_soon_threadsafe(resolve, batch, outcomes)

    def record_all(self, batch: list[Event]) -> list[StoreError | None]:
        """Records the batch together or, if one event breaks it, each event by itself."""
        metrics.BATCH_SIZE.observe(len(batch))
        error = self.record(batch)
        if error is None or isinstance(error, DatabaseUnavailable):
            return [error] * len(batch)
        if len(batch) == 1:
            return [self.record_poison(batch[0], error)]
        # invariant 10: one bad event does not spoil its batch
        return [outcome for event in batch for outcome in self.record_all([event])]

    def record(self, batch: list[Event]) -> StoreError | None:
        now = self.now()
        starting = {event.starter.company_id for event in batch if event.starter}
        reloaded, outage = False, Outage.AWAY
        for _ in range(TRIES):
            try:
                recovery_settings = self.recovery_settings.find(starting, now)
                with self.begin() as session:
                    events.record(session, batch, now, self.rules, self.read, recovery_settings)
                return None
            except (SQLAlchemyError, ValueError, WrongCompanyError) as error:
                found = find_outage(error)
                if is_transient(error):
                    # A deadlock, a lost connection, a server that has become a standby. Checking
                    # beforehand would cost a round trip.
                    outage = found or Outage.AWAY
                    continue
                if found:
                    return DatabaseUnavailable(found)
                if (
                    isinstance(error, IntegrityError)
                    and not reloaded
                    and self.recovery_settings.forget()
                ):
                    # A cached company may have been deleted.
                    reloaded = True
                    continue
                log.warning("could not record %d event(s): %s", len(batch), type(error).__name__)
                return UnstorableError(explain(error), blame(error))
        return DatabaseUnavailable(outage)

    def record_poison(self, event: Event, error: StoreError) -> StoreError:
        """Stores the event with its error, unapplied, so that it can be seen and replayed."""
        poison = replace(event, parsed=None, error=str(error))
        outcome = self.record([poison])
        if isinstance(outcome, UnstorableError):
            outcome = self.record([replace(poison, payload="null")])
        if isinstance(outcome, UnstorableError) and outcome.fault is Fault.BUG:
            return DatabaseUnavailable(words=UNSTORED)
        return outcome or error


def resolve(batch: list[PendingEvent], outcomes: Sequence[StoreError | None]) -> None:
    for waiting, error in zip(batch, outcomes, strict=True):
        # Done already: the sender has hung up.
        if waiting.stored.done():
            continue
        if error is None:
            waiting.stored.set_result(None)
        else:
            waiting.stored.set_exception(error)
