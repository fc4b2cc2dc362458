"""A loop of jobs. `schedule` is only the metronome: what is due stands in the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import schedule

from db.session import DatabaseUnavailable, translate_errors

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
# What a job returns that could not do all and wants to go on in a minute.
SOON = object()


class Loop:
    """Each job at once, then by its own interval in minutes, one after the other.

    `check` comes before each and raises DatabaseUnavailable when none may run.
    """

    def __init__(
        self, *jobs: tuple[int, Callable[[], object]], check: Callable[[], None] = lambda: None
    ) -> None:
        self.check = check
        self.scheduler = schedule.Scheduler()
        for minutes, job in jobs:
            self.scheduler.every(minutes).minutes.do(self.guard, job)
        # Something is due within the shortest interval: a longer wait means that the clock moved.
        self.most_idle_seconds = min(minutes for minutes, _ in jobs) * 60 + 30

    def run(self, stopping: Callable[[], bool]) -> None:
        self.scheduler.run_all()
        while not stopping():
            self.scheduler.run_pending()
            if (self.scheduler.idle_seconds or 0) > self.most_idle_seconds:
                self.scheduler.run_all()  # the wall clock was set back: start counting anew
            time.sleep(TICK_SECONDS)

    def guard(self, job: Callable[[], object]) -> None:
        """A job that raised would never be scheduled again, and would block those behind it."""
        try:
            with translate_errors():
                self.check()
                again = job() is SOON
        except DatabaseUnavailable as error:
            log.warning("%s: %s; again in a minute", job.__name__, error)
            again = True
        except Exception:
            log.exception("%s failed", job.__name__)
            again = False
        if again and not self.scheduler.get_jobs(job.__name__):
            self.scheduler.every(1).minutes.do(self.run_once_more, job).tag(job.__name__)

    def run_once_more(self, job: Callable[[], object]) -> type[schedule.CancelJob]:
        self.guard(job)
        return schedule.CancelJob
