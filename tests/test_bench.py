"""The bench counts right and sends what Whop sends. How fast anything is, is not tested here."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from bench import filling, overview, refresh, retries
from bench.figures import Target, lay_out, percentile, ratio
from bench.filling import LARGE, SMALL
from bench.ingest import Case, assess, check
from bench.load import Load, is_whole, run
from bench.payloads import render
from bench.questions import OVERVIEW
from bench.scratch import BenchError
from db.models import Payment
from db.session import now, session_factory
from sandbox.model.records import Charge
from sandbox.servers.app import create_app
from sandbox.world.world import World
from whop.payloads import read_event
from whop.signature import verify_signature

NOW = datetime(2026, 11, 20, 9, 15, 4, tzinfo=UTC)
SECRET = "ws_a_secret_for_tests"
ONE = Decimal(1)
STORED = {"webhook_events": 2, "payments": 2, "messages": 2}


def split(request: bytes) -> tuple[dict[str, str], bytes]:
    head, body = request.split(b"\r\n\r\n", 1)
    return dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:]), body


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(split(head)[0]["content-length"])
    return head + await reader.readexactly(length)


class Server:
    """Answers with these statuses in turn, each in two pieces; `None` hangs up instead."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.received: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.received.append(await read_request(reader))
                status = self.statuses.pop(0) if self.statuses else 200
                if status is None:
                    break
                writer.write(f"HTTP/1.1 {status} Any\r\nContent-Length: 2\r\n".encode())
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(b"\r\nok")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def load_onto(server: Server, requests: list[bytes], connections: int) -> Load:
    async def both() -> Load:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            return await run(port, requests, connections, warm_up=0, seconds=30)

    return asyncio.run(both())


def make_load(**overrides: Any) -> Load:
    values: dict[str, Any] = {"statuses": {"200": 1}, "lost": 0, "rate": 10, "p50": 1, "p99": 2}
    return Load(**(values | overrides))


def make_case(rate: float, share: float) -> Case:
    return Case([make_load(rate=rate)], [make_load()], [share], [80.0])


# --- deliveries --------------------------------------------------------------------------------


def test_it_renders_requests_that_the_receiver_accepts():
    headers, body = split(render(1, SECRET, "a", NOW)[0])
    assert verify_signature((SECRET,), headers, body, NOW) == headers["webhook-id"]
    payment = read_event(json.loads(body), NOW).payment
    assert payment is not None
    assert payment.starts_dunning
    assert payment.decline_code == "insufficient_funds"


def test_it_renders_bodies_of_about_2_kb_with_their_length_told():
    for request in render(50, SECRET, "a", NOW):
        headers, body = split(request)
        assert int(headers["content-length"]) == len(body)
        assert 1_900 <= len(body) <= 2_300


def test_it_renders_every_event_and_payment_once_whatever_the_run():
    bodies = [
        json.loads(split(request)[1])
        for name in ("a", "b")
        for request in render(20, SECRET, name, NOW)
    ]
    assert len({body["id"] for body in bodies}) == 40
    assert len({body["data"]["id"] for body in bodies}) == 40


# --- load --------------------------------------------------------------------------------------


def test_it_sends_every_request_once_and_counts_every_answer():
    requests = render(40, SECRET, "a", NOW)
    server = Server(500, 401)
    load = load_onto(server, requests, connections=4)
    assert sorted(server.received) == sorted(requests)
    assert load.statuses == {"200": 38, "500": 1, "401": 1}
    assert load.lost == 0
    assert 0 < load.p50 <= load.p99
    assert load.rate > 0


def test_it_counts_a_request_without_an_answer_as_lost():
    load = load_onto(Server(200, None), render(2, SECRET, "a", NOW), connections=1)
    assert (load.statuses, load.lost) == ({"200": 1}, 1)


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\nok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_it_knows_a_whole_answer(answer: bytes, whole: bool):
    assert is_whole(answer) is whole


# --- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (100, 100)]
)
def test_it_takes_the_nearest_rank_as_percentile(percent: float, value: int):
    assert percentile(range(1, 101), percent) == value


def test_it_takes_the_only_value_as_every_percentile():
    assert [percentile([7.0], percent) for percent in (0, 50, 99)] == [7.0, 7.0, 7.0]


def test_it_never_divides_by_nothing():
    assert ratio(1, 4) == 0.25
    assert ratio(1, 0) == 0.0


def test_a_target_is_met_up_to_its_very_limit():
    assert Target("speed", ">=", 0.25, 0.25).met
    assert not Target("speed", ">=", 0.25, 0.249).met
    assert Target("wait", "<=", 50, 50).met
    assert not Target("wait", "<=", 50, 50.1).met
    assert Target("wait", "<=", 50, 61.23, " ms").words == ("wait", "<= 50 ms", "61.2 ms", "FAIL")


def test_it_lays_out_names_to_the_left_and_figures_to_the_right():
    assert lay_out(("", "req/s"), [("receiver", "9")]) == ["          req/s", "receiver      9"]


# --- retries -----------------------------------------------------------------------------------


def charge(second: float, payment_id: str = "", key: str = "k") -> Charge:
    at = NOW + timedelta(seconds=second)
    return Charge(payment_id or f"pay_{second}", at, "retry", "paid", ONE, ONE, "usd", key)


def test_it_counts_the_steady_part_and_not_the_start():
    charges = [charge(second) for second in (0, 9.9, 10, 15, 29.9, 30)]
    found = retries.summarize(charges, 20, 0, (80.0,))
    assert (found.charges, found.seconds, found.rate) == (3, 20, 0.15)


def test_it_counts_all_there_is_when_told_to():
    found = retries.summarize([charge(second) for second in range(101)], 0, 0, (80.0,))
    assert (found.charges, found.seconds) == (100, 100)


def test_it_sees_a_payment_charged_twice_at_any_time():
    charges = [charge(0, "pay_1"), charge(11), charge(500, "pay_1")]
    assert retries.summarize(charges, 20, 0, (80.0,)).doubled == 1


@pytest.mark.parametrize(
    ("charges", "refused", "doubled", "megabytes", "met"),
    [
        (950, 0, 0, (80.0, 90.0), [True, True, True, True]),
        (949, 0, 0, (80.0, 90.1), [False, True, True, False]),
        (1000, 1, 1, (80.0,), [True, False, False, True]),
    ],
)
def test_it_judges_speed_by_what_whop_permits(charges, refused, doubled, megabytes, met):
    found = retries.Run(100, charges, doubled, refused, megabytes)
    assert [target.met for target in retries.assess(found)] == met


def test_its_failures_are_due_and_known_through_the_receivers_code(engine: Engine, tmp_path):
    retries.prepare(engine, tmp_path / "sandbox.sqlite", 5)
    with session_factory(engine)() as session:
        due = session.scalars(select(Payment).where(Payment.next_retry_at <= now())).all()
        assert len(due) == 5
    assert retries.read_retries(tmp_path / "sandbox.sqlite") == []
    with pytest.raises(BenchError, match="0 charges"):
        retries.check([], engine)
    with pytest.raises(BenchError, match="pay_1"):
        retries.check([charge(0, "pay_1")], engine)


def test_the_simulated_whop_counts_what_its_limit_refuses():
    world = World()
    world.switches.rate_per_minute = 2
    asked = [*["/api/v1/payments"] * 5, "/sandbox/limits"]

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(world, lambda: NOW))
        key = {"authorization": "Bearer apik_sandbox"}
        async with httpx.AsyncClient(transport=transport, base_url="http://whop") as client:
            return [await client.get(path, headers=key) for path in asked]

    *answers, counted = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429]
    assert counted.json() == {"refused": 3}


# --- verdicts ----------------------------------------------------------------------------------


def test_it_compares_the_receiver_with_both_neighbours():
    cases = {"receiver": make_case(1000, 0.3), "plain FastAPI + ORM": make_case(250, 0.05)}
    share, wait, faster, memory = assess(cases)
    assert (share.measured, share.met) == (0.3, True)
    assert (wait.measured, wait.met) == (2, True)
    assert (faster.measured, faster.met) == (4.0, False)
    assert (memory.measured, memory.met) == (80.0, True)


def make_times(large: float, small: float) -> dict[str, overview.Times]:
    """Medians in seconds."""
    times = {name: overview.Times() for name in overview.QUESTIONS}
    for each in times.values():
        for company_id, seconds in ((LARGE, large), (SMALL, small)):
            for taken in (seconds, seconds, 1):
                each.add(company_id, taken)
    return times


def test_it_judges_each_query_by_the_size_of_the_company():
    targets = overview.assess(make_times(0.05, 0.0101))
    judged = len(OVERVIEW) + 2
    assert [target.met for target in targets if "300,000" in target.name] == [True] * judged
    assert [target.met for target in targets if "10,000" in target.name] == [False] * judged


def test_it_judges_the_list_by_its_slowest_page_and_its_slowest_count():
    times = make_times(0.01, 0.001)
    for name in ("words: nobody", "count of: unpaid"):
        times[name].taken[LARGE] = [50.1]
    missed = [target.name for target in overview.assess(times) if not target.met]
    assert len(missed) == 2
    assert all(
        name in words
        for name, words in zip(("words: nobody", "count of: unpaid"), missed, strict=True)
    )


def test_it_asks_every_question_of_what_it_filled_and_says_how_much_that_was(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(filling, "OTHERS", 3)
    monkeypatch.setattr(filling, "SIZES", {LARGE: 1_200, SMALL: 300})
    monkeypatch.setattr(overview, "ROUNDS", 1)
    at = now()
    filling.fill(engine, at, 3_000)
    times = overview.measure(engine, at)
    assert all(set(each.taken) == {LARGE, SMALL} for each in times.values())
    capsys.readouterr()
    overview.report(times, 3_000, 0.1)
    said = capsys.readouterr().out
    assert "with 3,000 payments" in said
    assert all(f"\n  {name}  " in said for name in times)


def test_it_judges_the_dashboard_by_its_refreshes_and_its_memory():
    settled = [200.0, 210.0, *[244.0] * 7, 249.0]
    good = refresh.SteadyRun([0.1] * 99 + [1.1], settled)
    assert [target.met for target in refresh.assess(60, good)] == [True] * 4
    bad = refresh.SteadyRun([0.1] * 98 + [1.1] * 2, [*settled, 250.1])
    assert [target.met for target in refresh.assess(59.9, bad)] == [False] * 4


def test_no_refresh_at_all_is_not_on_time():
    assert refresh.SteadyRun([], [200.0]).share_on_time == 0


def test_it_prints_some_of_many_weights_and_the_last_always():
    assert list(refresh.thin(list(range(61)))) == list(range(0, 61, 6))
    assert list(refresh.thin([1, 2, 3])) == [1, 2, 3]


def test_it_is_content_when_every_200_is_stored():
    check([make_load(), make_load()], STORED)


@pytest.mark.parametrize(
    ("load", "stored"),
    [
        ({"statuses": {"200": 2, "503": 1}}, STORED),
        ({"statuses": {"200": 2}, "lost": 1}, STORED),
        ({"statuses": {"200": 3}}, STORED),
        ({"statuses": {"200": 2}}, STORED | {"messages": 1}),
        ({"statuses": {}}, dict.fromkeys(STORED, 0)),
    ],
)
def test_it_refuses_figures_that_were_not_earned(load: dict[str, Any], stored: dict[str, int]):
    with pytest.raises(BenchError):
        check([make_load(**load)], stored)
