"""Runs jobs at fixed intervals. `schedule` only keeps the beat: the database says what is due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import schedule

from db.outages import DatabaseUnavailable, translate_errors

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
# A job returns this to be run again in a minute, because it could not finish.
RUN_AGAIN_SOON = object()


class Loop:
    """Runs each job at start and then at its own interval, in minutes. Jobs never overlap.

    `check` runs before each job and raises DatabaseUnavailable if no job may run.
    """

    def __init__(
        self, *jobs: tuple[int, Callable[[], object]], check: Callable[[], None] = lambda: None
    ) -> None:
        self.check = check
        self.scheduler = schedule.Scheduler()
        for minutes, job in jobs:
            self.scheduler.every(minutes).minutes.do(self.run_job, job)
        # A job is always due within the shortest interval; a longer wait means the clock moved.
        self.most_idle_seconds = min(minutes for minutes, _ in jobs) * 60 + 30

    def run(self, stopping: Callable[[], bool]) -> None:
        self.scheduler.run_all()
        while not stopping():
            self.scheduler.run_pending()
            if (self.scheduler.idle_seconds or 0) > self.most_idle_seconds:
                # The wall clock was set back.
                self.scheduler.run_all()
            time.sleep(TICK_SECONDS)

    def run_job(self, job: Callable[[], object]) -> None:
        """Catches every exception: `schedule` drops a job that raises and skips those after it."""
        try:
            with translate_errors():
                self.check()
                again = job() is RUN_AGAIN_SOON
        except DatabaseUnavailable as error:
            log.warning("%s: %s; trying again in a minute", job.__name__, error)
            again = True
        except Exception:
            log.exception("%s failed", job.__name__)
            again = False
        if again and not self.scheduler.get_jobs(job.__name__):
            self.scheduler.every(1).minutes.do(self.run_extra, job).tag(job.__name__)

    def run_extra(self, job: Callable[[], object]) -> type[schedule.CancelJob]:
        self.run_job(job)
        return schedule.CancelJob
