"""Replays poison events on request, one transaction per event."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import true

from daemon.workers import never
from db.ledger import replays
from db.ledger.inbox import Reader
from db.session import SessionFactory
from recovery.retrying.context import RetryRules

log = logging.getLogger(__name__)

# Events replayed before the other jobs of the minute have their turn. The rest stay queued.
MOST_AT_ONCE = 1_000


class Replayer:
    def __init__(
        self,
        sessions: SessionFactory,
        rules: RetryRules,
        clock: Callable[[], datetime],
        read: Reader,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self.sessions, self.rules, self.clock = sessions, rules, clock
        self.read, self.stopping = read, stopping

    def replay_requested(self) -> None:
        """Replays what creators asked for. Companies take turns: a large one delays no other."""
        last = 0
        for _ in range(MOST_AT_ONCE):
            if self.stopping():
                return
            with self.sessions.begin() as session:
                request = replays.replay_next(session, self.clock(), self.rules, self.read, last)
            if request is None and last == 0:
                return
            last = 0 if request is None else request.id
            if request is not None and request.done_at is not None:
                log.info("company %s: replay finished", request.company_id)

    def replay_all(self, actor: str) -> int:
        """Replays every poison event now, of any company or none. Returns how many still fail."""
        with self.sessions.begin() as session:
            replays.record_for_all(session, actor, self.clock())
        last, left = 0, 0
        while not self.stopping():
            with self.sessions.begin() as session:
                tried = replays.try_next_event(
                    session, true(), last, self.clock(), self.rules, self.read
                )
            if tried is None:
                break
            last, left = tried.id, left + (tried.error is not None)
        return left
