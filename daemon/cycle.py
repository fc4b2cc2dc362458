"""One hour's work: find out about unsettled attempts, read back what the webhooks missed, charge
what is due, close what is over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from daemon.reconcile import Reconciler
from daemon.retries import Retrier
from db import heartbeats
from db.ledger import payments, requests
from db.reporting import rollup
from db.session import SessionFactory
from recovery.health import CycleReport

log = logging.getLogger(__name__)

WORKERS = 12
"""Enough for one daemon to use up Whop's limit while Whop takes half a second (docs/speed.md)."""


@dataclass(slots=True)
class Tally:
    """What broke, counted by all threads."""

    errors: int = 0


class Cycle:
    """`workers` threads share the work; each takes one payment at a time. Without a reconciler
    only webhooks tell what happens."""

    def __init__(
        self,
        sessions: SessionFactory,
        retrier: Retrier,
        clock: Callable[[], datetime],
        reconciler: Reconciler | None = None,
        workers: int = WORKERS,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.sessions, self.retrier, self.clock = sessions, retrier, clock
        self.reconciler, self.workers, self.stopping = reconciler, workers, stopping
        self.started_at = clock()

    def run(self) -> CycleReport:
        tally = Tally()
        settled = self.drain(self.retrier.settle_one, tally)
        found = self.reconciler.run() if self.reconciler is not None else 0
        retried = self.drain(self.retrier.retry_one, tally)
        with self.sessions.begin() as session:
            now = self.clock()
            closed = payments.close_windows(session, now)
            report = CycleReport(settled, found, retried, closed, tally.errors)
            self.beat(session, now, report)
        self.keep_figures()
        log.info("cycle: %s", ", ".join(f"{k} {v}" for k, v in asdict(report).items()))
        return report

    def keep_figures(self) -> None:
        """A transaction a company. What is not kept yet is as exact, and slower to read."""
        with self.sessions() as session:
            behind = rollup.list_behind(session, self.clock())
        for company_id in behind:
            if self.stopping():
                return
            with self.sessions.begin() as session:
                rollup.keep_up(session, company_id, self.clock())

    def beat(self, session: Session, now: datetime, report: CycleReport | None = None) -> None:
        """A sign of life, and since when Whop has not answered (None: it does). `report`: of the
        cycle that has just ended."""
        down = self.retrier.whop.circuit.down_since
        heartbeats.beat(session, "daemon", self.started_at, now, down, report)

    def honour_requests(self) -> int:
        """What creators asked for since the last time, at once. Returns how many."""
        honoured = 0
        while not self.stopping():
            with self.sessions.begin() as session:
                request = requests.honour_one(session, self.clock(), self.retrier.rules)
                if request is None:
                    break
                log.info("payment %s: %s: %s", request.payment_id, request.kind, request.answer)
                honoured += 1
        self.drain(self.retrier.retry_hastened, Tally())
        return honoured

    def drain(self, unit: Callable[[], bool], tally: Tally) -> int:
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
                    tally.errors += 1
                    return  # the database is away; the caller's own next statement will say so
                except Exception:
                    log.exception("a payment could not be worked on")
                    tally.errors += 1
                    if tally.errors > MOST_ERRORS:
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
