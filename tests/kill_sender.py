"""`python -m tests.kill_sender DATABASE SANDBOX KILLS SEED`: sends, is killed, and sends again.

Everything is imported once. Each sender is a fork of this process, with the real messenger, and is
ended by kill -9: half of them by themselves, at a random one of the project's own lines, half from
outside, at a random time. Prints what was left of the message in hand after each kill.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from daemon.mailer import Mailer, make_courier
from daemon.messages import Messenger
from db.session import connect, now, session_factory
from whop.client import WhopClient
from whop.pace import Pace

ROOT = Path(__file__).parent.parent
OURS = tuple(str(ROOT / folder) for folder in ("daemon", "db", "mail", "whop"))
NO_LIMIT = 10**9
LONGEST_LIFE = 0.12
"""Seconds: enough for a few messages."""
IN_HAND = "select id, posted_at from messages where state = 'sending'"
LET_TIME_PASS = (
    "update messages set sending_at = now() - interval '11 minutes' where state = 'sending'"
)


def make_messenger(engine: Engine, sandbox: str) -> Messenger:
    whop = WhopClient(
        f"{sandbox}/api/v1", "apik_sandbox", "2026-10-15-1", Pace(NO_LIMIT), now, None, time.sleep
    )
    mailer = Mailer(make_courier("SG.sandbox", sandbox), "Us <us@example.com>")
    return Messenger(session_factory(engine), whop, mailer, now)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(lines: int) -> None:
    left = [lines]

    def trace_line(frame: FrameType, kind: str, argument: object) -> Any:
        if kind == "line":
            left[0] -= 1
            if left[0] <= 0:
                die()
        return trace_line

    def trace_call(frame: FrameType, kind: str, argument: object) -> Any:
        return trace_line if frame.f_code.co_filename.startswith(OURS) else None

    sys.settrace(trace_call)


def send_in_a_fork(send: Callable[[], object], lines: int | None, seconds: float) -> bool:
    """Whether it was killed before it had nothing more to do."""
    child = os.fork()
    if child == 0:
        if lines is not None:
            die_after(lines)
        send()
        os._exit(0)
    if lines is None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def count_lines(send: Callable[[], object]) -> int:
    """Of one message, from taking to recording."""
    seen = [0]

    def trace(frame: FrameType, kind: str, argument: object) -> Any:
        seen[0] += kind == "line"
        return trace if frame.f_code.co_filename.startswith(OURS) else None

    sys.settrace(trace)
    send()
    sys.settrace(None)
    return seen[0]


def main(database: str, sandbox: str, kills: int, random: Random) -> None:
    engine = connect(make_url(database), "sender", pool_pre_ping=False)
    messenger = make_messenger(engine, sandbox)
    messenger.queue_some()
    lines = count_lines(messenger.send_one)
    watching = connect(make_url(database), "watching")
    left: list[tuple[int, bool] | None] = []
    while len(left) < kills:
        engine.dispose()  # no connection is shared with a fork; what is compiled is
        at_line = random.randrange(1, 3 * lines) if random.random() < 0.5 else None
        send = partial(make_messenger(engine, sandbox).send_due)
        if not send_in_a_fork(send, at_line, random.uniform(0, LONGEST_LIFE)):
            continue
        with watching.begin() as connection:
            found = connection.execute(text(IN_HAND)).all()
            connection.execute(text(LET_TIME_PASS))
        left.extend([(row.id, row.posted_at is not None) for row in found] or [None])
    messenger.send_due()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Random(int(sys.argv[4])))
