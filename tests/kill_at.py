"""`python -m tests.kill_at STEP NUMBER [COMMAND]`: the real daemon, which dies at one step.

It sends itself SIGKILL as soon as NUMBER of its threads have come to the step; those that are
there earlier wait for the others. Nothing of its own is replaced, only wrapped.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from daemon import __main__ as daemon
from daemon.mailer import Mailer
from daemon.retries import Retrier
from db.ledger import conclusions
from whop.client import WhopClient

arrived = threading.Semaphore(0)
number = 1


def die() -> None:
    arrived.release()
    if arrived._value >= number:
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def before(owner: Any, name: str) -> None:
    def killed(*arguments: Any, **named: Any) -> None:
        die()

    setattr(owner, name, killed)


def after(owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def killed(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        die()

    setattr(owner, name, killed)


def within_conclude() -> None:
    """All is written and nothing committed."""
    real = conclusions.conclude

    def killed(session: Session, *arguments: Any) -> None:
        real(session, *arguments)
        session.flush()
        die()

    setattr(conclusions, "conclude", killed)  # noqa: B010


def after_concluding() -> None:
    real = conclusions.conclude

    def killed(session: Session, *arguments: Any) -> None:
        event.listen(session, "after_commit", lambda session: die())
        real(session, *arguments)

    setattr(conclusions, "conclude", killed)  # noqa: B010


STEPS: dict[str, Callable[[], None]] = {
    "claimed": lambda: before(Retrier, "run_attempt"),
    "asked": lambda: after(WhopClient, "get_payment"),
    "marked_sent": lambda: before(WhopClient, "retry_payment"),
    "charged": lambda: after(WhopClient, "retry_payment"),
    "concluding": within_conclude,
    "concluded": after_concluding,
    "mail_taken": lambda: before(Mailer, "send"),
    "mail_sent": lambda: after(Mailer, "send"),
}


if __name__ == "__main__":
    STEPS[sys.argv[1]]()
    number = int(sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    sys.exit(daemon.main())
