"""One call to Whop: rate-limited, guarded by the circuit, and repeated only where that is safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import random
from typing import Any
from urllib.parse import quote

import httpx

from whop.circuit import Circuit
from whop.errors import BusyError, NoAnswerError, check
from whop.rate_limit import RateLimiter
from whop.values import Json

# A parameter with several values is repeated.
Query = Mapping[str, str | int | Sequence[str] | None]

READ_TIMEOUT = httpx.Timeout(10, connect=5)
# A bank may take long. Reads with all their repetitions end within a payment's lease.
WRITE_TIMEOUT = httpx.Timeout(30, connect=5)
# Seconds before a read is repeated, plus or minus half.
PAUSES = (0.5, 1.0)


class Wire:
    """`operation` is what Whop's rate limit counts. All methods raise WhopError."""

    def __init__(
        self,
        http: httpx.Client,
        rate_limit: RateLimiter,
        circuit: Circuit,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random,
    ) -> None:
        self.http, self.rate_limit, self.circuit = http, rate_limit, circuit
        self.sleep, self.jitter = sleep, jitter

    def read(self, operation: str, path: str, query: Query | None = None) -> Json:
        """Repeated after a pause while Whop does not answer."""
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        for pause in PAUSES:
            try:
                return self.call(operation, "GET", path, READ_TIMEOUT, params=asked)
            except NoAnswerError:
                self.sleep(pause * (0.5 + self.jitter()))
        return self.call(operation, "GET", path, READ_TIMEOUT, params=asked)

    def write(self, operation: str, method: str, path: str, **request: Any) -> Json:
        """Never repeated, since it may move money."""
        return self.call(operation, method, path, WRITE_TIMEOUT, **request)

    def call(
        self, operation: str, method: str, path: str, timeout: httpx.Timeout, **request: Any
    ) -> Json:
        self.circuit.check()
        if (held := self.rate_limit.wait(operation)) is not None:
            raise BusyError(f"not sent: the next turn for {operation} is too far off", held)
        # It may have opened while we waited.
        self.circuit.begin_call()
        response = self.send(method, path, timeout=timeout, **request)
        try:
            check(response)
        except BusyError as error:
            self.rate_limit.hold(operation, error.wait)
            raise
        return read_object(response)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self.http.request(method, path, **request)
        except httpx.HTTPError as error:
            self.circuit.record_no_answer()
            raise NoAnswerError(f"no answer from Whop ({type(error).__name__})") from None
        if response.is_server_error:
            self.circuit.record_no_answer()
        else:
            self.circuit.record_answer()
        return response


def read_object(response: httpx.Response) -> Json:
    try:
        data = response.json()
    except ValueError:
        raise NoAnswerError("Whop's answer is not JSON") from None
    if not isinstance(data, dict):
        raise NoAnswerError("Whop's answer is not an object")
    return data


def escape(ident: str) -> str:
    """So that an id cannot change the rest of the path."""
    return quote(ident, safe="")


def write_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
