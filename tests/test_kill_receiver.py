"""kill -9 of the receiver under load: what got a 200 is on disk, what did not can come again."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.factories import COMPANY, encode, event, failing_at, payment_data, sign
from tests.processes import SECRET, TOKEN, Process, Processes, free_port, started_in
from tests.soak import at_length, choose_seed

ROUNDS = at_length(3)
CONNECTIONS = 12
numbers = itertools.count(1)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with started_in(tmp_path) as processes:
        yield processes


@dataclass(frozen=True)
class Delivery:
    event_id: str
    payment_id: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Signed when it is sent, as Whop does it."""
        return sign(self.body, datetime.now(UTC), self.event_id, SECRET)


def make_delivery() -> Delivery:
    payment_id = f"pay_kill_{next(numbers)}"
    body = encode(event(data=payment_data(id=payment_id, **failing_at(datetime.now(UTC)))))
    return Delivery(f"msg_kill_{payment_id}", payment_id, body)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        yield client


async def send(client: httpx.AsyncClient, delivery: Delivery) -> int:
    answer = await client.post("/webhook/whop", content=delivery.body, headers=delivery.headers)
    return answer.status_code


async def load_until_killed(
    url: str, receiver: Process, kill_after: int
) -> tuple[list[Delivery], list[Delivery]]:
    """Those that got their 200, and those in hand when the receiver died."""
    accepted: list[Delivery] = []
    interrupted: list[Delivery] = []

    async def keep_sending(client: httpx.AsyncClient) -> None:
        while True:
            delivery = make_delivery()
            try:
                status = await send(client, delivery)
            except httpx.TransportError:
                interrupted.append(delivery)
                return
            assert status == 200
            accepted.append(delivery)
            if len(accepted) == kill_after:
                receiver.kill()

    async with connect(url) as client:
        await asyncio.gather(*(keep_sending(client) for _ in range(CONNECTIONS)))
    return accepted, interrupted


async def deliver_again(url: str, deliveries: list[Delivery]) -> Counter[int]:
    """The same webhook-ids, in another order."""
    left = random.Random(len(deliveries)).sample(deliveries, len(deliveries))
    statuses: Counter[int] = Counter()

    async def keep_sending(client: httpx.AsyncClient) -> None:
        while left:
            statuses[await send(client, left.pop())] += 1

    async with connect(url) as client:
        await asyncio.gather(*(keep_sending(client) for _ in range(CONNECTIONS)))
    return statuses


def read_ids(engine: Engine, query: str) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(value for (value,) in connection.execute(text(query)))


@pytest.mark.soak
def test_no_acknowledged_delivery_is_lost_and_none_counts_twice(
    processes: Processes, engine: Engine, database_url: str
):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    random_kill = random.Random(choose_seed(3))
    accepted: list[Delivery] = []
    interrupted: list[Delivery] = []
    for _ in range(ROUNDS):
        receiver = processes.start_receiver(port, DATABASE_URL=database_url)
        answered, cut_off = asyncio.run(
            load_until_killed(url, receiver, kill_after=random_kill.randint(50, 150))
        )
        accepted += answered
        interrupted += cut_off
        events = read_ids(engine, "select event_id from webhook_events")
        payments = read_ids(engine, "select payment_id from payments")
        assert {delivery.event_id for delivery in accepted} <= events.keys()
        assert {delivery.payment_id for delivery in accepted} <= payments.keys()
    assert len(interrupted) == ROUNDS * CONNECTIONS  # it was under load, every time

    everything = accepted + interrupted
    processes.start_receiver(port, DATABASE_URL=database_url)
    for _ in range(2):
        statuses = asyncio.run(deliver_again(url, everything))
        assert statuses == {200: len(everything)}
    once_each = {delivery.event_id: 1 for delivery in everything}
    assert read_ids(engine, "select event_id from webhook_events") == once_each
    once_each = {delivery.payment_id: 1 for delivery in everything}
    assert read_ids(engine, "select payment_id from payments") == once_each
    summary = httpx.get(
        f"{url}/stats/summary",
        params={"company_id": COMPANY},
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=30,
    ).json()
    assert summary["total_failed"] == len(everything)
    assert summary["at_risk_amount"] == 49.0 * len(everything)
