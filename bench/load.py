"""The load generator: keep-alive connections that send, wait for the answer, and send again.

It runs in its own process (`python -m bench.load`) and does little work, because it shares the
machine with the server it measures: raw sockets, requests rendered before the clock starts, and
only the parsing that counting needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import cast

import uvloop

from bench.figures import percentile
from bench.payloads import render

# Seconds. Answers in this time are counted but not timed.
WARM_UP = 1.0
# Requests to prepare. A faster server only ends the run sooner.
MOST_PER_SECOND = 8_000
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one run. `statuses` counts every answer; the rest only those that are timed."""

    statuses: dict[str, int]
    lost: int
    rate: float
    p50: float
    p99: float


class LoadRecorder:
    """Shared by all connections: the requests left to send, and the answers received."""

    def __init__(self, requests: Sequence[bytes], warm_up: float, seconds: float) -> None:
        self.requests: Iterator[bytes] = iter(requests)
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.lost = 0
        self.begin = perf_counter() + warm_up
        self.end = self.begin + seconds

    def take(self, now: float) -> bytes | None:
        request = next(self.requests, None) if now < self.end else None
        if request is None:
            self.end = min(self.end, now)
        return request

    def record(self, status: bytes, sent: float, now: float) -> None:
        self.statuses[status.decode("latin-1")] += 1
        if self.begin <= now <= self.end:
            self.latencies.append(now - sent)

    def summarize(self) -> Load:
        ordered = sorted(self.latencies) or [0.0]
        seconds = self.end - self.begin
        rate = len(self.latencies) / seconds if seconds > 0 else 0.0
        return Load(
            dict(self.statuses),
            self.lost,
            rate,
            percentile(ordered, 50) * 1000,
            percentile(ordered, 99) * 1000,
        )


class Connection(asyncio.Protocol):
    """Sends one request at a time. If the connection ends before the answer, it is lost."""

    def __init__(self, recorder: LoadRecorder) -> None:
        self.recorder = recorder
        self.closed = asyncio.get_running_loop().create_future()
        self.part = b""
        self.sent: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.send(perf_counter())

    def send(self, now: float) -> None:
        request = self.recorder.take(now)
        if request is None:
            self.sent = None
            self.transport.close()
        else:
            self.sent = now
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self.part + data if self.part else data
        if not is_whole(answer):
            self.part = answer
            return
        now, self.part = perf_counter(), b""
        if self.sent is not None:
            self.recorder.record(answer[9:12], self.sent, now)
        self.send(now)

    def connection_lost(self, error: Exception | None) -> None:
        if self.sent is not None:
            self.recorder.lost += 1
        self.closed.set_result(None)


def is_whole(answer: bytes) -> bool:
    """Whether the answer is complete. Both servers always send a content-length."""
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = answer[:head_end].lower()
    start = head.find(b"content-length:")
    length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
    return len(answer) >= head_end + 4 + length


async def run(
    port: int, requests: Sequence[bytes], connections: int, warm_up: float, seconds: float
) -> Load:
    loop = asyncio.get_running_loop()
    recorder = LoadRecorder(requests, warm_up, seconds)
    opened = [
        await loop.create_connection(lambda: Connection(recorder), "127.0.0.1", port)
        for _ in range(connections)
    ]
    waiting = [connection.closed for _, connection in opened]
    await asyncio.wait(waiting, timeout=warm_up + seconds + PATIENCE)
    for transport, connection in opened:
        if not connection.closed.done():
            transport.abort()
    await asyncio.gather(*waiting)
    return recorder.summarize()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--run", required=True)
    arguments = parser.parse_args()
    count = int(MOST_PER_SECOND * (arguments.seconds + WARM_UP))
    requests = render(count, arguments.secret, arguments.run, datetime.now(UTC))
    load = uvloop.run(
        run(arguments.port, requests, arguments.connections, WARM_UP, arguments.seconds)
    )
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
