"""Runs one kind of work in several threads until none is left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from db.outages import DatabaseUnavailable, translate_errors

log = logging.getLogger(__name__)

# After so many the cause is not a single row: the run ends, and the next one tries again.
MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class WorkCounts:
    done: int
    errors: int


def never() -> bool:
    return False


def run_until_empty(
    unit: Callable[[], bool],
    workers: int = 1,
    stopping: Callable[[], bool] = never,
    failure: str = "a unit of work failed",
) -> WorkCounts:
    """Runs `unit` until it returns False. If it raises, `failure` is logged and the next one runs.

    A unit that raised must not be offered again at once: it holds a lease that has yet to lapse. If
    the database is unavailable the work ends without a log line, because the caller's next
    statement raises the same error.
    """
    done: list[bool] = []
    errors: list[bool] = []

    def work() -> None:
        while not stopping() and len(errors) < MOST_ERRORS:
            try:
                with translate_errors():
                    if not unit():
                        return
                done.append(True)
            except DatabaseUnavailable:
                errors.append(True)
                return
            except Exception:
                log.exception(failure)
                errors.append(True)

    run_in_threads(work, workers)
    return WorkCounts(len(done), len(errors))


def run_each(
    company_ids: Iterable[str],
    unit: Callable[[str], int | None],
    stopping: Callable[[], bool],
    failure: str,
) -> WorkCounts:
    """Runs `unit` for one company after the other; `done` is the sum of what it returns.

    If it raises, `failure` is logged: one company's trouble ends nobody else's work. Raises
    DatabaseUnavailable, which is everybody's.
    """
    done = errors = 0
    for company_id in company_ids:
        if stopping():
            break
        try:
            with translate_errors():
                done += unit(company_id) or 0
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("company %s: %s", company_id, failure)
            errors += 1
    return WorkCounts(done, errors)


def run_in_threads(work: Callable[[], None], workers: int) -> None:
    """Runs the same work in several threads, this one included."""
    # Daemon threads: stopping must not wait for a bank or an email service. What they leave
    # unfinished is taken over later.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
