"""What breaks outside our code. docs/developers/faults.md lists them, and the test of each."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.outcomes import KEY_IS_GOOD_FOR
from daemon.retries import Retrier
from db.ledger import claims
from db.rate_limit import fingerprint
from db.reporting.summary import summarize
from recovery.status import PaymentStatus
from tests.factories import COMPANY
from tests.rig import Rig
from tests.test_retries import Killed, crash_in
from whop.signature import SignatureError

PAGE = Path(__file__).parent.parent / "docs" / "developers" / "faults.md"
HOUR = timedelta(hours=1)


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    return rig


def hire(
    rig: Rig,
    *,
    key: str = "apik_sandbox",
    ahead: timedelta = timedelta(),
    moved: list[timedelta] | None = None,
) -> Retrier:
    """A daemon of its own, with this key, whose clock is so far ahead, or as far as it is moved."""

    def clock():
        return rig.clock.now + (moved[0] if moved else ahead)

    whop = rig.make_client(key, clock)
    return Retrier(rig.sessions, whop, rig.rules, clock, fingerprint(key))


def drain(retrier: Retrier) -> None:
    while retrier.settle_one() or retrier.retry_one():
        pass


# --- clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-HOUR, -timedelta(minutes=2), timedelta(minutes=2), HOUR])
def test_daemons_whose_clocks_differ_charge_each_payment_once(rig: Rig, ahead):
    payment_ids = [rig.fail("insufficient_funds", "paid") for _ in range(4)]
    one, other = hire(rig), hire(rig, ahead=ahead)
    for _ in range(60):
        rig.pass_time(0.05)
        drain(other)
        drain(one)
    assert [rig.charges(payment_id) for payment_id in payment_ids] == [["paid"]] * 4
    assert rig.world.ledger.paid_twice() == []


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
@pytest.mark.parametrize("step", ["get_payment", "retry_payment"])
def test_what_a_daemon_with_a_wrong_clock_left_open_is_made_good_once(rig: Rig, ahead, step):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.pass_time(2.1)
    off = hire(rig, ahead=ahead)
    with pytest.MonkeyPatch.context() as patch:
        crash_in(patch, off.whop, step, after=True)
        with pytest.raises(Killed):
            off.retry_one()
    for _ in range(30):
        rig.pass_time(0.1)
        drain(hire(rig))
    assert rig.charges(payment_id) == ["paid"]
    assert rig.payment(payment_id).status is PaymentStatus.RECOVERED


def test_a_clock_set_back_while_a_payment_is_in_hand_charges_it_once(rig: Rig, monkeypatch):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.pass_time(1)
    moved = [timedelta()]
    daemon = hire(rig, moved=moved)
    real = daemon.whop.get_payment

    def set_back(*arguments):
        moved[0] = -HOUR
        return real(*arguments)

    monkeypatch.setattr(daemon.whop, "get_payment", set_back)
    daemon.retry_one()
    assert len(rig.charges(payment_id)) <= 1
    for _ in range(30):
        rig.pass_time(0.1)
        drain(daemon)
        drain(hire(rig))
    assert rig.charges(payment_id) == ["paid"]


# --- secrets -----------------------------------------------------------------------------------


def test_deliveries_under_a_secret_we_do_not_have_yet_are_read_back(rig: Rig):
    rig.reconciler.run()
    real, refused = rig.receive, []

    def receive(headers, body):
        try:
            return real(headers, body)
        except SignatureError:
            refused.append(body)
            return 401

    rig.world.deliver = receive
    rig.world.webhook_secret = "ws_rotated"
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.pass_time(2)
    assert refused
    rig.reconciler.run()
    rig.cycle.run()
    assert rig.charges(payment_id) == ["paid"]
    with rig.sessions() as session:
        assert summarize(session, COMPANY, rig.clock.now).total_recovered == 1


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
@pytest.mark.parametrize("end", ["paid", "insufficient_funds"])
def test_an_unknown_charge_is_not_repeated_under_another_key_of_ours(rig: Rig, fault, end):
    """Whop knows an idempotency key only together with the key to the API that it came with."""
    payment_id = rig.fail("insufficient_funds", end)
    rig.world.faults.add("payments.retry", fault)
    rig.world.faults.add("webhook", "drop", times=3)
    rig.pass_time(1)
    rig.cycle.run()
    assert rig.outcomes(payment_id) == ["unknown"]
    rig.transport.whop.accept_keys(["apik_rotated"])
    before = len(rig.charges(payment_id))
    new = hire(rig, key="apik_rotated")
    while rig.clock.now < rig.at(1) + KEY_IS_GOOD_FOR - HOUR:
        rig.pass_time(2)
        new.settle_one()
        assert len(rig.charges(payment_id)) == before
    rig.pass_time(3)
    for _ in range(4):
        drain(new)
        rig.pass_time(1.1)
    charges = rig.world.ledger.charges(payment_id)
    assert rig.world.ledger.paid_twice() == []
    assert len([c for c in charges if c.idempotency_key == f"retry:{payment_id}:1"]) == before
    if end == "paid":
        assert rig.payment(payment_id).status is PaymentStatus.RECOVERED


def test_a_refused_key_charges_nothing_and_costs_no_retry(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.transport.whop.accept_keys(["apik_rotated"])
    rig.run(hours=5)
    payment = rig.payment(payment_id)
    assert (payment.status, payment.retry_count) == (PaymentStatus.PENDING_RETRY, 0)
    rig.pass_time(1)
    drain(hire(rig, key="apik_rotated"))
    assert rig.charges(payment_id) == ["paid"]


# --- the page ----------------------------------------------------------------------------------


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`(test_\w+)\.py::(test_\w+)`", PAGE.read_text())
    assert len(named) > 10
    for file, test in named:
        source = (PAGE.parents[2] / "tests" / f"{file}.py").read_text()
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{file}.py::{test}"


def test_the_lease_is_longer_than_a_retry_can_take():
    """Reads with their repetitions, a charge, and four turns at Whop's limit."""
    from whop.rate_limit import LONGEST_WAIT
    from whop.wire import PAUSES, READ_TIMEOUT, WRITE_TIMEOUT

    def longest(timeout) -> timedelta:
        return timedelta(seconds=timeout.connect + timeout.read)

    reads = (len(PAUSES) + 1) * longest(READ_TIMEOUT) + timedelta(seconds=1.5 * sum(PAUSES))
    turns = (len(PAUSES) + 2) * LONGEST_WAIT
    assert reads + longest(WRITE_TIMEOUT) + turns < claims.LEASE
