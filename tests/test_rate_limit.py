"""Turns to call Whop: within a process, and shared by daemons through the database."""

from __future__ import annotations

import hashlib
import itertools
import threading
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, QueuePool, text
from sqlalchemy.exc import OperationalError

from db.rate_limit import SharedRateLimit, fingerprint
from db.session import SessionFactory, connect, session_factory
from tests.factories import COMPANY, NOW
from whop.client import WhopClient
from whop.errors import BusyError
from whop.rate_limit import RateLimit, find_longest_wait

RETRY = "payments.retry"
MINUTE = timedelta(minutes=1)


class Time:
    """Passes only by sleeping."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def make_shared(sessions: SessionFactory, per_minute: int, key: str = "apik_x") -> SharedRateLimit:
    longest_wait = find_longest_wait(per_minute)
    return SharedRateLimit(sessions, per_minute, fingerprint(key), longest_wait, lambda _: None)


def free_at(engine: Engine, operation: str = RETRY) -> datetime:
    with engine.connect() as connection:
        query = text("select free_at from rate_limits where operation = :operation")
        found: datetime = connection.execute(query, {"operation": operation}).scalar_one()
        return found


def count_open(engine: Engine) -> int:
    """Connections in use."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


def database_time(engine: Engine) -> datetime:
    with engine.connect() as connection:
        found: datetime = connection.execute(text("select clock_timestamp()")).scalar_one()
        return found


# --- within a process --------------------------------------------------------------------------


def test_calls_of_one_operation_are_spread_over_the_minute():
    time = Time()
    rate_limit = RateLimit(60, time.now, time.sleep)
    assert [rate_limit.wait("payments.retrieve") for _ in range(4)] == [None] * 4
    assert rate_limit.wait("payments.retry") is None
    assert time.slept == [1.0, 1.0, 1.0]


def test_a_hold_keeps_one_operation_back_and_the_others_not():
    time = Time()
    rate_limit = RateLimit(60, time.now, time.sleep)
    rate_limit.hold(RETRY, MINUTE)
    assert rate_limit.wait(RETRY) == MINUTE
    assert rate_limit.wait("payments.retrieve") is None
    assert time.slept == []


def test_a_hold_is_never_shortened_by_a_later_one():
    time = Time()
    rate_limit = RateLimit(60, time.now, time.sleep)
    rate_limit.hold(RETRY, MINUTE)
    rate_limit.hold(RETRY, MINUTE / 2)
    assert rate_limit.wait(RETRY) == MINUTE


def test_after_a_hold_the_calls_are_spread_again():
    time = Time()
    rate_limit = RateLimit(60, time.now, time.sleep)
    rate_limit.hold(RETRY, timedelta(seconds=5))
    for _ in range(3):
        rate_limit.wait(RETRY)
    assert time.slept == [5.0, 1.0, 1.0]


def test_a_slow_pace_makes_a_queue_not_refusals():
    time = Time()
    rate_limit = RateLimit(60, time.now, lambda seconds: None)  # nobody sleeps: all ask at once
    assert [rate_limit.wait(RETRY) for _ in range(26)] == [None] * 26
    assert rate_limit.wait(RETRY) == timedelta(seconds=26)


# --- shared by daemons -------------------------------------------------------------------------


def test_two_daemons_never_take_turns_closer_than_the_gap(engine: Engine, sessions: SessionFactory):
    """Two engines stand for two processes; their threads race for one row."""
    other = connect(engine.url, "the other daemon", pool_size=4)
    paces = [make_shared(sessions, 600), make_shared(session_factory(other), 600)]
    began = database_time(engine)
    taken: list[Any] = []

    def take_some(rate_limit: SharedRateLimit) -> None:
        taken.extend(rate_limit.reserve(RETRY)[1] for _ in range(15))

    threads = [threading.Thread(target=take_some, args=[rate_limit]) for rate_limit in paces * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.dispose()
    assert taken == [True] * 90
    # Two that had taken the same turn would have moved the row on by one gap only.
    assert free_at(engine) >= began + timedelta(milliseconds=100) * 90
    assert database_time(engine) < began + timedelta(milliseconds=100) * 80


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(seconds=3)])
def test_a_turn_is_a_whole_gap_after_the_last_one_or_now(engine: Engine, sessions, ahead):
    rate_limit = make_shared(sessions, 60)
    rate_limit.hold(RETRY, ahead)
    before = max(free_at(engine), database_time(engine))
    delay, taken = rate_limit.reserve(RETRY)
    assert taken
    assert delay <= ahead
    assert free_at(engine) >= before + timedelta(seconds=1)
    second, taken = rate_limit.reserve(RETRY)
    assert taken
    assert second > ahead + timedelta(seconds=0.5)


def test_a_slow_shared_pace_makes_a_queue_not_refusals(sessions: SessionFactory):
    rate_limit = make_shared(sessions, 60)
    assert [rate_limit.wait(RETRY) for _ in range(25)] == [None] * 25
    rate_limit.hold(RETRY, MINUTE)
    assert rate_limit.wait(RETRY) is not None


def test_it_sleeps_until_its_turn_with_no_transaction_open(engine: Engine, sessions):
    seen: list[tuple[float, int]] = []
    rate_limit = SharedRateLimit(
        sessions,
        60,
        fingerprint("k"),
        find_longest_wait(60),
        lambda s: seen.append((s, count_open(engine))),
    )
    assert rate_limit.wait(RETRY) is None
    assert rate_limit.wait(RETRY) is None
    ((slept, connections),) = seen
    assert 0 < slept <= 1
    assert connections == 0


def test_operations_and_keys_have_turns_of_their_own(engine: Engine, sessions: SessionFactory):
    mine = make_shared(sessions, 60)
    mine.hold(RETRY, MINUTE)
    assert mine.wait("payments.retrieve") is None
    assert make_shared(sessions, 60, key="apik_y").wait(RETRY) is None
    held = mine.wait(RETRY)
    assert held is not None
    assert timedelta(seconds=50) < held <= MINUTE


def test_every_daemon_is_held_back_and_a_refused_turn_is_not_used_up(
    engine: Engine, sessions: SessionFactory
):
    one, other = make_shared(sessions, 600), make_shared(sessions, 600)
    one.hold(RETRY, MINUTE)
    until = free_at(engine)
    other.hold(RETRY, MINUTE / 2)
    assert other.wait(RETRY) is not None
    assert free_at(engine) == until


def test_a_daemon_killed_between_its_turn_and_its_call_wastes_that_turn_only(
    engine: Engine, sessions: SessionFactory
):
    make_shared(sessions, 60).reserve(RETRY)  # and is never heard of again
    after_first = free_at(engine)
    delay, taken = make_shared(sessions, 60).reserve(RETRY)
    assert taken
    assert delay <= timedelta(seconds=1)
    assert free_at(engine) == after_first + timedelta(seconds=1)


def test_without_a_database_no_call_is_made(engine: Engine):
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(404)

    away = session_factory(connect(engine.url.set(query={"host": "/nowhere"}), "tests"))
    whop = WhopClient(
        "https://whop.test",
        "k",
        "v",
        make_shared(away, 60),
        lambda: NOW,
        httpx.MockTransport(answer),
    )
    with pytest.raises(OperationalError):
        whop.get_payment("pay_1", COMPANY)
    assert sent == []


def test_the_table_holds_no_key(engine: Engine, sessions: SessionFactory):
    make_shared(sessions, 60, key="apik_secret").wait(RETRY)
    with engine.connect() as connection:
        (stored,) = connection.execute(text("select credential from rate_limits")).scalars()
    assert stored == hashlib.sha256(b"apik_secret").hexdigest()[:16]


# --- told to wait ------------------------------------------------------------------------------


def test_a_429_keeps_the_daemons_that_share_the_key_from_asking(
    engine: Engine, sessions: SessionFactory
):
    sent = itertools.count()

    def answer(request: httpx.Request) -> httpx.Response:
        next(sent)
        return httpx.Response(429, json={"error": {"message": "Try again in 40 seconds."}})

    clients = [
        WhopClient(
            "https://whop.test",
            "k",
            "v",
            make_shared(sessions, 60),
            lambda: NOW,
            httpx.MockTransport(answer),
        )
        for _ in range(2)
    ]
    for client in clients:
        with pytest.raises(BusyError) as caught:
            client.retry_payment("pay_1", COMPANY, "k")
        assert timedelta(seconds=30) < caught.value.wait <= timedelta(seconds=40)
    assert next(sent) == 1
