"""When Whop does not answer: what is asked again, what never is, and when asking stops."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest

from tests.factories import COMPANY, NOW, payment_data
from whop.circuit import FIRST_REST, LONGEST_REST, MOST_UNANSWERED, Circuit
from whop.client import WhopClient
from whop.errors import BusyError, DownError, NoAnswerError, NotFoundError, WhopError
from whop.rate_limit import RateLimit

SECOND = timedelta(seconds=1)


class Whop:
    """Answers with these, one after the other and the last for ever: a status, or an error."""

    def __init__(self, *answers: int | type[httpx.HTTPError]) -> None:
        self.answers = list(answers)
        self.now = NOW
        self.sent: list[str] = []
        self.slept: list[float] = []
        self.client = WhopClient(
            "https://whop.test",
            "k",
            "v",
            RateLimit(600_000, lambda: self.now.timestamp(), lambda seconds: None),
            lambda: self.now,
            httpx.MockTransport(self.answer),
            self.slept.append,
        )
        self.client.wire.jitter = lambda: 0.5

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.method)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            body = payment_data() if answer == 200 else {"error": {"message": "x"}}
            return httpx.Response(answer, json=body)
        raise answer("x", request=request)  # type: ignore[call-arg]  # a TransportError

    def get(self) -> None:
        self.client.get_payment("pay_1", COMPANY)

    def charge(self) -> None:
        self.client.retry_payment("pay_1", COMPANY, "k")

    def go_down(self) -> None:
        for _ in range(MOST_UNANSWERED):
            with pytest.raises(NoAnswerError):
                self.charge()
        self.sent.clear()


# --- again, or never ---------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [500, 503, 408, httpx.ConnectError, httpx.ReadTimeout])
def test_a_read_is_made_again_a_little_later_each_time(trouble):
    whop = Whop(trouble, trouble, 200)
    whop.get()
    assert whop.sent == ["GET"] * 3
    assert whop.slept == [0.5, 1.0]


def test_a_read_is_given_up_after_three_tries():
    whop = Whop(502)
    with pytest.raises(NoAnswerError):
        whop.get()
    assert len(whop.sent) == 3


@pytest.mark.parametrize(("jitter", "slept"), [(0.0, [0.25, 0.5]), (1.0, [0.75, 1.5])])
def test_the_pauses_vary_so_that_daemons_do_not_ask_in_step(jitter, slept):
    whop = Whop(500, 500, 200)
    whop.client.wire.jitter = lambda: jitter
    whop.get()
    assert whop.slept == slept


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 429])
def test_a_read_that_was_answered_is_not_made_again(status):
    whop = Whop(status)
    with pytest.raises(WhopError, match=str(status)):
        whop.get()
    assert len(whop.sent) == 1


@pytest.mark.parametrize("trouble", [500, httpx.ConnectError, httpx.ReadTimeout])
def test_what_may_charge_is_never_sent_twice(trouble):
    whop = Whop(trouble)
    with pytest.raises(NoAnswerError):
        whop.charge()
    with pytest.raises(NoAnswerError):
        whop.client.change_card("mem_1", "payt_1")
    assert whop.sent == ["POST", "PATCH"]
    assert whop.slept == []


def test_after_a_429_nothing_is_sent_until_the_wait_is_over():
    whop = Whop(429, 200)
    with pytest.raises(BusyError):
        whop.get()
    whop.now += 59 * SECOND - timedelta(seconds=15)
    with pytest.raises(BusyError) as caught:
        whop.get()
    assert caught.value.wait == 16 * SECOND
    assert len(whop.sent) == 1
    whop.now += 16 * SECOND
    whop.get()


# --- the circuit -------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [500, httpx.ConnectError, httpx.ReadTimeout])
def test_it_opens_after_five_calls_in_a_row_without_an_answer(trouble):
    whop = Whop(trouble)
    for _ in range(MOST_UNANSWERED - 1):
        with pytest.raises(NoAnswerError):
            whop.charge()
    assert whop.client.circuit.down_since is None
    whop.now += SECOND
    with pytest.raises(NoAnswerError):
        whop.charge()
    assert whop.client.circuit.down_since == NOW


@pytest.mark.parametrize("answer", [200, 404, 409, 429])
def test_any_answer_in_between_keeps_it_closed(answer):
    whop = Whop(*[500] * (MOST_UNANSWERED - 1), answer, 500)
    for _ in range(MOST_UNANSWERED * 2 - 2):
        with suppress(WhopError):
            whop.charge()
        whop.now += timedelta(minutes=2)
    assert whop.client.circuit.down_since is None


def test_an_open_circuit_sends_nothing():
    whop = Whop(500)
    whop.go_down()
    whop.now += FIRST_REST - SECOND
    for call in (whop.get, whop.charge):
        with pytest.raises(DownError, match="not sent"):
            call()
    assert whop.sent == []


def test_an_open_circuit_takes_no_turn():
    whop = Whop(500)
    whop.go_down()
    rate_limit = whop.client.wire.rate_limit
    assert isinstance(rate_limit, RateLimit)
    turns = dict(rate_limit.free_at)
    with pytest.raises(DownError):
        whop.charge()
    assert rate_limit.free_at == turns


def test_after_the_rest_one_call_is_sent_and_the_next_is_not():
    whop = Whop(500)
    whop.go_down()
    whop.now += FIRST_REST
    with pytest.raises(NoAnswerError):
        whop.charge()
    with pytest.raises(DownError):
        whop.charge()
    assert whop.sent == ["POST"]


def test_a_read_that_finds_it_open_between_two_tries_stops_there():
    whop = Whop(500)
    with pytest.raises(NoAnswerError):
        whop.get()
    with pytest.raises(DownError):
        whop.get()
    assert len(whop.sent) == MOST_UNANSWERED


@pytest.mark.parametrize("answer", [200, 404])
def test_after_the_rest_one_answer_closes_it(answer):
    whop = Whop(*[500] * MOST_UNANSWERED, answer)
    whop.go_down()
    whop.now += FIRST_REST
    for _ in range(3):
        with suppress(NotFoundError):
            whop.get()
    assert whop.client.circuit.down_since is None
    assert len(whop.sent) == 3


def test_after_the_rest_one_probe_is_let_through_at_a_time():
    circuit = open_circuit(clock := Clock())
    clock.now += FIRST_REST
    circuit.begin_call()
    with pytest.raises(DownError):
        circuit.begin_call()
    with pytest.raises(DownError):
        circuit.check()


def test_each_probe_without_an_answer_doubles_the_rest_up_to_five_minutes():
    circuit = open_circuit(clock := Clock())
    rests = []
    for _ in range(6):
        began = clock.now
        assert circuit.resting_until is not None
        clock.now = circuit.resting_until
        rests.append(clock.now - began)
        circuit.begin_call()
        circuit.record_no_answer()
    assert rests[:4] == [FIRST_REST, FIRST_REST * 2, FIRST_REST * 4, FIRST_REST * 8]
    assert rests[4:] == [LONGEST_REST] * 2
    circuit.record_answer()
    open_again(circuit)
    assert circuit.resting_until == clock.now + FIRST_REST


def test_a_probe_that_is_cut_off_does_not_bar_the_way_for_ever():
    circuit = open_circuit(clock := Clock())
    clock.now += FIRST_REST
    circuit.begin_call()
    clock.now += FIRST_REST * 2
    circuit.begin_call()
    assert circuit.resting_until == clock.now + FIRST_REST * 4


def test_a_clock_set_back_does_not_keep_it_open():
    circuit = open_circuit(clock := Clock())
    clock.now -= timedelta(hours=1)
    circuit.check()


def test_of_many_threads_only_one_probes():
    circuit = open_circuit(clock := Clock())
    clock.now += FIRST_REST
    start, sent = threading.Barrier(8), []

    def call() -> None:
        start.wait()
        try:
            circuit.begin_call()
        except DownError:
            return
        sent.append(1)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent == [1]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self):
        return self.now


def open_circuit(clock: Clock) -> Circuit:
    circuit = Circuit(clock)
    open_again(circuit)
    return circuit


def open_again(circuit: Circuit) -> None:
    for _ in range(MOST_UNANSWERED):
        circuit.begin_call()
        circuit.record_no_answer()
