"""`python -m tests.kill_sender DATABASE SANDBOX KILLS SEED`: sends, is killed, and sends again.

Everything is imported once. Each sender is a fork of this process, with the real messenger, and is
ended by kill -9: first at every step of a send; then half of them by themselves, at a random one of
the project's own lines, half from outside, at a random time. Prints, as JSON, which message was
left in hand by each kill, and whether it was marked as about to leave.
"""

from __future__ import annotations

import json
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

from sqlalchemy import Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from daemon.mailer import Mailer, make_sendgrid_client
from daemon.messages import MessageSender
from db.member_messages import queue as outbox
from db.session import connect, now, session_factory
from tests.processes import wait_until
from whop.client import WhopClient
from whop.rate_limit import RateLimit

ROOT = Path(__file__).parent.parent
OURS = tuple(str(ROOT / folder) for folder in ("daemon", "db", "mail", "whop"))
NO_LIMIT = 10**9
# Of so many payments the message is due at the start of each life, and yet to be written. Were it
# more after each kill, a sender would in the end only write, and be killed before it sends.
PORTION = 2
# Chance may need this many times as many kills until it has seen every stage.
PATIENCE = 5
UNWRITTEN = "not exists (select from messages m where m.payment_id = p.payment_id)"
FALL_DUE = (
    "update payments set next_message_at = now() where id in (select id from payments p"
    f" where {UNWRITTEN} and next_message_at > now() order by id"
    f" limit greatest(0, {PORTION} - (select count(*) from payments p"
    f" where {UNWRITTEN} and next_message_at <= now())))"
)
LAST_TAKEN = (
    "select id, dispatched_at from messages where sending_at is not null"
    " order by sending_at desc limit 1"
)
IN_HAND = "select id, dispatched_at from messages where state = 'sending'"
LET_TIME_PASS = (
    "update messages set sending_at = now() - interval '11 minutes' where state = 'sending'"
)
CONNECTED = (
    "select count(*) from pg_stat_activity"
    " where application_name = 'sender' and datname = current_database()"
)
# A message, and whether it was marked as about to leave. None: nothing was in hand.
Left = tuple[int, bool] | None


def make_message_sender(engine: Engine, sandbox: str) -> MessageSender:
    whop = WhopClient(
        f"{sandbox}/api/v1",
        "apik_sandbox",
        "2026-10-15-1",
        RateLimit(NO_LIMIT),
        now,
        None,
        time.sleep,
    )
    mailer = Mailer(make_sendgrid_client("SG.sandbox", sandbox), "Us <us@example.com>")
    return MessageSender(session_factory(engine), whop, mailer, now)


def die(*ignored: object, **named: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# --- at a step of a send -----------------------------------------------------------------------


def before(owner: Any, name: str) -> None:
    setattr(owner, name, die)


def after(owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def killed(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        die()

    setattr(owner, name, killed)


def with_session(name: str, then: Callable[[Session], object]) -> None:
    """After a step of the outbox, in its transaction."""
    real = getattr(outbox, name)

    def killed(session: Session, *arguments: Any, **named: Any) -> Any:
        found = real(session, *arguments, **named)
        session.flush()
        then(session)
        return found

    setattr(outbox, name, killed)


def die_when_committed(session: Session) -> None:
    event.listen(session, "after_commit", die)


STEPS: dict[str, Callable[[], None]] = {
    "taking": lambda: with_session("take_message", die),
    "taken": lambda: with_session("take_message", die_when_committed),
    "prepared": lambda: after(MessageSender, "prepare"),
    "marking": lambda: with_session("mark_dispatched", die),
    "posted": lambda: with_session("mark_dispatched", die_when_committed),
    "leaving": lambda: before(Mailer, "send"),
    "sent": lambda: after(Mailer, "send"),
    "finishing": lambda: with_session("finish_message", die),
    "finished": lambda: with_session("finish_message", die_when_committed),
}


# --- at random ---------------------------------------------------------------------------------


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


def count_lines(send: Callable[[], object]) -> int:
    """Of what is due, from writing it to recording what became of it."""
    seen = [0]

    def trace(frame: FrameType, kind: str, argument: object) -> Any:
        seen[0] += kind == "line"
        return trace if frame.f_code.co_filename.startswith(OURS) else None

    sys.settrace(trace)
    send()
    sys.settrace(None)
    return seen[0]


def saw_all(left: list[Left]) -> bool:
    """Nothing in hand, a message that is only taken, and one marked as about to leave."""
    return {one and one[1] for one in left} == {None, False, True}


# --- senders -----------------------------------------------------------------------------------


class Senders:
    def __init__(self, database: str, sandbox: str) -> None:
        self.database, self.sandbox = make_url(database), sandbox
        self.engine = connect(self.database, "sender", ask_first=False)
        self.watching = connect(self.database, "watching")
        self.message_sender = make_message_sender(self.engine, sandbox)
        """Used by forks only, so that they share no connection."""

    def fork(self, prepare: Callable[[], object] | None, seconds: float = 0) -> bool:
        """Whether it was killed before it had nothing more to do. Without `prepare` it is killed
        from outside, after so many seconds."""
        self.engine.dispose()  # no connection is shared with a fork; what is compiled is
        child = os.fork()
        if child == 0:
            ended = 1
            try:
                if prepare is not None:
                    prepare()
                self.message_sender.send_due()
                ended = 0
            finally:
                os._exit(ended)
        if prepare is None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)

    def is_connected(self) -> bool:
        with self.watching.connect() as connection:  # a transaction sees one state of this only
            return bool(connection.scalar(text(CONNECTED)))

    def look(self, query: str) -> list[tuple[int, bool]]:
        """Once the database has seen the end of the killed one: a commit may have been on its
        way."""
        self.engine.dispose()
        wait_until(lambda: not self.is_connected(), "its connections ended")
        with self.watching.begin() as connection:
            found = connection.execute(text(query)).all()
            connection.execute(text(LET_TIME_PASS))
            connection.execute(text(FALL_DUE))
        return [(row.id, row.dispatched_at is not None) for row in found]

    def finish(self) -> float:
        """Sends all that is due; returns how long a sender lives for that."""
        started = time.monotonic()
        assert not self.fork(lambda: None)
        return time.monotonic() - started

    def die_at_each_step(self) -> dict[str, Left]:
        left: dict[str, Left] = {}
        for step, prepare in STEPS.items():
            assert self.fork(prepare), step
            left[step] = next(iter(self.look(IN_HAND if step == "taking" else LAST_TAKEN)), None)
            self.finish()
            self.look(IN_HAND)
        return left

    def die_at_random(self, kills: int, random: Random) -> list[Left]:
        lines = count_lines(make_message_sender(self.engine, self.sandbox).send_due)
        self.look(IN_HAND)
        seconds = self.finish()
        left: list[Left] = []
        while len(left) < kills or (not saw_all(left) and len(left) < PATIENCE * kills):
            prepare = None
            if random.random() < 0.5:
                prepare = partial(die_after, random.randrange(1, lines))
            killed = self.fork(prepare, random.uniform(0, seconds))
            in_hand = self.look(IN_HAND)
            if killed:
                left.extend(in_hand or [None])
        return left


def main(database: str, sandbox: str, kills: int, random: Random) -> None:
    senders = Senders(database, sandbox)
    senders.look(IN_HAND)
    make_message_sender(
        senders.engine, sandbox
    ).send_due()  # what is compiled then is for all of them
    senders.look(IN_HAND)
    by_step = senders.die_at_each_step()
    at_random = senders.die_at_random(kills, random)
    senders.finish()
    sys.stdout.write(json.dumps({"steps": by_step, "random": at_random}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Random(int(sys.argv[4])))
