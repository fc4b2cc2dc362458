"""Several threads that share one kind of work until nothing of it is left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from db.session import DatabaseUnavailable, translate_errors

log = logging.getLogger(__name__)

# Then something general is wrong, and whoever comes next tries again.
MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Tally:
    done: int
    errors: int


def never() -> bool:
    return False


def run_until_empty(
    unit: Callable[[], bool],
    workers: int = 1,
    stopping: Callable[[], bool] = never,
    failure: str = "a unit of work failed",
) -> Tally:
    """Runs `unit` until it returns False; one that raises is logged as `failure` and passed over.

    It must not come back at once: what it took in hand is a lease that has yet to lapse. A database
    that is away ends the work without a word, since the caller's own next statement says so.
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

    share(work, workers)
    return Tally(len(done), len(errors))


def share(work: Callable[[], None], workers: int) -> None:
    """The same work in several threads, this one among them."""
    # Daemon threads: a stop must not wait for a bank or a mail service. What they leave in hand is
    # taken over.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
