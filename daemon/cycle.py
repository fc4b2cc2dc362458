"""One hour's work: find out about unsettled attempts, charge what is due, close what is over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy.exc import OperationalError

from daemon.retries import Retrier
from db import heartbeats, payments
from db.session import SessionFactory

log = logging.getLogger(__name__)

WORKERS = 12
"""Enough for one daemon to use up Whop's limit while Whop takes half a second (docs/speed.md)."""


@dataclass(slots=True)
class Counts:
    """What a cycle did."""

    settled: int = 0
    retried: int = 0
    closed: int = 0
    errors: int = 0


class Cycle:
    """`workers` threads share the work; each takes one payment at a time."""

    def __init__(
        self,
        sessions: SessionFactory,
        retrier: Retrier,
        clock: Callable[[], datetime],
        workers: int = WORKERS,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.sessions, self.retrier, self.clock = sessions, retrier, clock
        self.workers, self.stopping = workers, stopping
        self.started_at = clock()

    def run(self) -> Counts:
        counts = Counts()
        counts.settled = self.drain(self.retrier.settle_one, counts)
        counts.retried = self.drain(self.retrier.retry_one, counts)
        with self.sessions.begin() as session:
            now = self.clock()
            counts.closed = payments.close_windows(session, now)
            heartbeats.beat(
                session,
                "daemon",
                self.started_at,
                now,
                last_cycle_at=now,
                details=asdict(counts),
            )
        log.info("cycle: %s", ", ".join(f"{k} {v}" for k, v in asdict(counts).items()))
        return counts

    def drain(self, unit: Callable[[], bool], counts: Counts) -> int:
        """Runs units until there is no more work; a unit that breaks is counted and passed over.

        It cannot come back at once: its claim is a lease that has yet to lapse.
        """
        done: list[bool] = []

        def work() -> None:
            while not self.stopping():
                try:
                    if not unit():
                        return
                    done.append(True)
                except OperationalError:
                    counts.errors += 1
                    return  # the database is away; the caller's own next statement will say so
                except Exception:
                    log.exception("a payment could not be worked on")
                    counts.errors += 1
                    if counts.errors > MOST_ERRORS:
                        return

        # Daemon threads: a stop must not wait for a bank. What they leave open is taken over.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(self.workers - 1)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        return len(done)


MOST_ERRORS = 20
"""Then something general is wrong, a database away for one, and the next cycle tries again."""
