"""A rig on which everything may go wrong: calls take time, deliveries are lost and come again, and
a daemon can be interrupted, or killed, at any step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import httpx

from daemon.mailer import Mailer
from daemon.posts import Poster
from daemon.wiring import DaemonConfig, build
from db.ledger import claims, conclusions
from db.rate_limit import fingerprint
from db.session import SessionFactory
from recovery.retrying.context import RetryRules
from sandbox.demo.in_process import (
    API_VERSION,
    NO_LIMIT,
    SENDER,
    Clock,
    InProcessSendGrid,
    skip_waiting,
)
from sandbox.servers.transport import InProcess
from sandbox.wire.webhooks import signed
from tests.factories import COMPANY, SECRET
from tests.rig import Rig
from whop.client import WhopClient
from whop.rate_limit import RateLimit

A_CALL = timedelta(milliseconds=200)


class Killed(BaseException):
    """Stands for kill -9 within one process: nothing after it runs."""


@dataclass(frozen=True)
class Delivery:
    event_id: str
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class Witness(Protocol):
    """Sees each call that may change something: before Whop does, and with the answer we got."""

    def watch(self, request: httpx.Request) -> None: ...
    def note_answer(self, request: httpx.Request, response: httpx.Response) -> None: ...


class Line(httpx.BaseTransport):
    """The way to Whop."""

    def __init__(self, inner: InProcess, clock: Clock, witness: Witness) -> None:
        self.inner, self.clock, self.witness = inner, clock, witness

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.clock.now += A_CALL
        if request.method == "GET":
            return self.inner.handle_request(request)
        self.witness.watch(request)
        response = self.inner.handle_request(request)
        self.witness.note_answer(request, response)
        return response


class Crew:
    """One daemon, with its own line to Whop."""

    def __init__(
        self,
        sessions: SessionFactory,
        rules: RetryRules,
        clock: Callable[[], Any],
        line: httpx.BaseTransport,
        key: str,
    ) -> None:
        self.whop = WhopClient(
            "http://sandbox/api/v1",
            key,
            API_VERSION,
            RateLimit(NO_LIMIT, lambda: clock().timestamp(), skip_waiting),
            clock,
            line,
            skip_waiting,
        )
        self.mailer = Mailer(InProcessSendGrid(line, "SG.sandbox"), SENDER, clock=clock)
        poster = Poster(in_development=True, transport=line)
        config = DaemonConfig(rules, fingerprint(key), COMPANY, workers=1, senders=1)
        self.services, blind = (
            build(
                replace(config, reads_back=reads), sessions, self.whop, self.mailer, poster, clock
            )
            for reads in (True, False)
        )
        self.reading, self.blind = self.services.cycle, blind.cycle
        self.message_sender = self.services.message_sender

    @contextmanager
    def interrupted(self, step: str, after: bool, entry: Callable[[], None]) -> Iterator[None]:
        """`deed` is done once, before or after the daemon's next step of this name."""
        owner = next(o for o in (self.whop, self.mailer, claims, conclusions) if hasattr(o, step))
        real, waiting = getattr(owner, step), [entry]

        def take_step(*arguments: Any, **named: Any) -> Any:
            now = waiting.pop() if waiting else (lambda: None)
            if not after:
                now()
            answer = real(*arguments, **named)
            if after:
                now()
            return answer

        with mock.patch.object(owner, step, take_step):
            yield


class RoughRig(Rig):
    """`delivered` is all that the receiver has taken."""

    def __init__(
        self,
        sessions: SessionFactory,
        folder: Path,
        witness: Witness,
        rules: RetryRules | None = None,
        seed: int = 1,
    ) -> None:
        self.delivered: list[Delivery] = []
        self.receiver_is_up = True
        super().__init__(sessions, folder, seed=seed, rules=rules)
        self.whops_key = self.settings.api_key
        self.door = InProcess(self.world, self.clock, api_keys=[self.whops_key])
        self.line = Line(self.door, self.clock, witness)
        self.crew = self.hire(self.whops_key)

    def hire(self, key: str) -> Crew:
        return Crew(self.sessions, self.rules, self.clock, self.line, key)

    def rotate_key(self, key: str) -> None:
        """At Whop. Daemons that have the old one are refused from now on."""
        self.whops_key = key
        self.door.whop.accept_keys([key])

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        if not self.receiver_is_up:
            return 0
        status = super().receive(headers, body)
        assert status == 200, (status, body)
        self.note_delivery(Delivery(headers["webhook-id"], body))
        return status

    def note_delivery(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    def deliver_again(self, delivery: Delivery, event_id: str) -> None:
        """Signed anew, as Whop's replay does; whether under the same id is a choice there."""
        headers = signed(SECRET, event_id, delivery.body, self.clock.now)
        self.receive(headers, delivery.body)
