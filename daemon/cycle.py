"""The hourly cycle.

It settles unsettled attempts, reads from Whop what webhooks missed, charges what is due, and
closes recovery windows that are over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from daemon.reconcile import Reconciler
from daemon.retries import Retrier
from daemon.workers import WorkCounts, never, run_each, run_until_empty
from db import heartbeats
from db.ledger import banned_payments, diary, payments, requests, whop_habits
from db.reporting import month_ends, pooled_lift, rollup
from db.session import SessionFactory
from recovery.health import CycleReport
from recovery.lift.groups import Effect

log = logging.getLogger(__name__)

# Threads. Enough for one daemon to use Whop's whole rate limit when Whop takes half a second to
# answer (docs/developers/speed.md).
WORKERS = 12
NOTHING = WorkCounts(0, 0)
# How far back first decisions are looked for: by a daemon that was away, and from then on, since a
# payment is seen only when its transaction has ended.
FIRST_LOOK_BACK, LOOK_BACK = timedelta(days=6), timedelta(minutes=15)


class Cycle:
    """`workers` threads share the work; each handles one payment at a time.

    Without a reconciler, webhooks are the only source of what happens at Whop.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        retrier: Retrier,
        clock: Callable[[], datetime],
        reconciler: Reconciler | None = None,
        workers: int = WORKERS,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self.sessions, self.retrier, self.clock = sessions, retrier, clock
        self.reconciler, self.workers, self.stopping = reconciler, workers, stopping
        self.started_at = clock()
        self.diary_since = self.started_at - FIRST_LOOK_BACK

    def run(self) -> CycleReport:
        settled = self.drain(self.retrier.settle_one)
        read = self.reconciler.run() if self.reconciler is not None else NOTHING
        self.apply_bans()
        retried = self.drain(self.retrier.retry_one)
        closed = self.close_windows()
        report = CycleReport(
            settled.done,
            read.done,
            retried.done,
            closed,
            settled.errors + read.errors + retried.errors,
        )
        with self.sessions.begin() as session:
            self.beat(session, self.clock(), report)
        self.update_rollup()
        self.record_month_ends()
        self.observe_whop()
        self.pool_lift()
        log.info("cycle: %s", ", ".join(f"{k} {v}" for k, v in asdict(report).items()))
        return report

    def apply_bans(self) -> None:
        """One transaction per batch."""
        while True:
            with self.sessions.begin() as session:
                batch = banned_payments.apply_bans(session, self.clock(), self.retrier.rules)
            if batch < banned_payments.MOST_AT_ONCE or self.stopping():
                return

    def close_windows(self) -> int:
        """One transaction per batch, so that its row locks are held only briefly."""
        closed = 0
        while True:
            with self.sessions.begin() as session:
                batch = payments.close_windows(session, self.clock())
            closed += batch
            if batch < payments.MOST_AT_ONCE or self.stopping():
                return closed

    def update_rollup(self) -> None:
        """One transaction per company. Days not rolled up yet are exact too, but slower to read."""
        with self.sessions() as session:
            behind = rollup.list_behind(session, self.clock())
        run_each(behind, self.sum_up, self.stopping, "its daily sums could not be stored")

    def sum_up(self, company_id: str) -> None:
        with self.sessions.begin() as session:
            rollup.catch_up(session, company_id, self.clock())

    def record_month_ends(self) -> None:
        with self.sessions() as session:
            ended = month_ends.list_unrecorded(session, self.clock())
        run_each(ended, self.record_month_end, self.stopping, "its month could not be recorded")

    def record_month_end(self, company_id: str) -> None:
        with self.sessions.begin() as session:
            month_ends.record_month_end(session, company_id, self.clock())

    def observe_whop(self) -> None:
        with self.sessions() as session:
            unobserved = whop_habits.list_unobserved(session, self.clock())
        run_each(unobserved, self.observe_company, self.stopping, "Whop could not be observed")

    def observe_company(self, company_id: str) -> None:
        with self.sessions.begin() as session:
            whop_habits.observe_company(session, company_id, self.clock())

    def pool_lift(self) -> None:
        """Once a day, for all creators together."""
        effects: list[Effect] = []

        def read(company_id: str) -> None:
            with self.sessions() as session:
                effects.append(pooled_lift.find_effect(session, company_id, self.clock()))

        with self.sessions() as session:
            due = pooled_lift.list_due(session, self.clock())
        run_each(due, read, self.stopping, "its gain could not be read")
        if effects:
            with self.sessions.begin() as session:
                pooled_lift.record_pooled(session, effects, self.clock())

    def write_diary(self) -> None:
        """The first decisions, which the receiver leaves unwritten. One transaction per batch."""
        began_at = self.clock()
        while True:
            with self.sessions.begin() as session:
                batch = diary.begin_all(session, self.diary_since, began_at, self.retrier.rules)
            if batch < diary.MOST_AT_ONCE or self.stopping():
                break
        self.diary_since = began_at - LOOK_BACK

    def beat(self, session: Session, now: datetime, report: CycleReport | None = None) -> None:
        """Records that the daemon is alive, and since when Whop has been down (None: it is up).

        `report` is given when a cycle has just ended.
        """
        down = self.retrier.whop.circuit.down_since
        heartbeats.beat(session, "daemon", self.started_at, now, down, report)

    def fulfil_requests(self) -> int:
        """Carries out what creators have asked for, at once. Returns the number of requests."""
        fulfilled = 0
        while not self.stopping():
            with self.sessions.begin() as session:
                request = requests.fulfil_next(session, self.clock(), self.retrier.rules)
                if request is None:
                    break
                log.info(
                    "payment %s request %s: %s", request.payment_id, request.kind, request.answer
                )
                fulfilled += 1
        self.drain(self.retrier.retry_requested)
        return fulfilled

    def drain(self, unit: Callable[[], bool]) -> WorkCounts:
        return run_until_empty(
            unit, self.workers, self.stopping, "a payment could not be processed"
        )
