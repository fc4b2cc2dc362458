"""Charging again, against the simulated Whop and its ledger of real charges."""

from __future__ import annotations

import itertools
import logging
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, QueuePool, text
from sqlalchemy.orm import Session

from daemon.retries import Retrier
from db.ledger import claims, conclusions
from db.ledger.claims import LEASE
from db.session import SessionFactory
from recovery.status import AttemptOutcome, ClosedReason, PaymentStatus, RecoveredBy
from tests.factories import NOW
from tests.rig import Rig
from tests.soak import SEED
from whop.errors import BusyError, DownError, NoAnswerError


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    # Whop's own retries stay away unless a test wants them.
    rig.world.switches.whop_attempts_after_hours = ()
    return rig


MINUTE = timedelta(minutes=1)


def fail_with(error: Exception):
    def fail(*arguments):
        raise error

    return fail


class Killed(BaseException):
    """Stands for kill -9 within one process: nothing after it runs."""


# --- the plain course of things ----------------------------------------------------------------


def test_it_recovers_a_payment_an_hour_after_it_failed(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    assert rig.payment(payment_id).next_retry_at == rig.at(1)
    rig.run()
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert payment.recovered_by is RecoveredBy.RETRY
    assert rig.outcomes(payment_id) == ["paid"]
    assert rig.charges(payment_id) == ["paid"]


def test_it_does_not_charge_before_the_hour_is_over(rig: Rig):
    payment_id = rig.fail()
    rig.pass_time(0.99)
    rig.cycle.run()
    assert rig.charges(payment_id) == []


def test_it_gives_up_after_three_declined_retries(rig: Rig):
    payment_id = rig.fail("insufficient_funds")
    rig.run(hours=12)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.PERMANENT_FAIL
    assert payment.closed_reason is ClosedReason.RETRIES_USED
    assert payment.retry_count == 3
    assert len(rig.charges(payment_id)) == 3


def test_it_charges_a_payment_at_most_once_an_hour(rig: Rig):
    payment_id = rig.fail("insufficient_funds")
    for _ in range(30):
        rig.pass_time(0.1)
        rig.cycle.run()
    started = [attempt.started_at for attempt in rig.attempts(payment_id)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(started)]
    assert gaps
    assert all(gap >= timedelta(hours=1) for gap in gaps)


def test_it_does_not_charge_a_recovered_payment(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.run(hours=5)
    assert rig.charges(payment_id) == ["paid"]


@pytest.mark.parametrize(
    "code", ["stolen_card", "suspected_fraud", "duplicate_transaction", "bank_insufficient_funds"]
)
def test_it_never_charges_again_where_that_is_forbidden(rig: Rig, code):
    payment_id = rig.fail(code, "paid")
    rig.run(hours=5)
    assert rig.payment(payment_id).status is PaymentStatus.FAILED
    assert rig.charges(payment_id) == []


def test_a_member_who_stopped_the_charge_is_left_alone(rig: Rig):
    payment_id = rig.fail("blocked_by_cardholder", "paid")
    rig.run(hours=5)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.PERMANENT_FAIL
    assert payment.closed_reason is ClosedReason.CONSENT_WITHDRAWN
    assert rig.charges(payment_id) == []


def test_a_window_that_has_ended_closes_its_payment(rig: Rig):
    rig.world.switches.whop_cancels_after_days = None
    payment_id = rig.fail("stolen_card")
    rig.run(hours=119)
    assert rig.payment(payment_id).status is PaymentStatus.FAILED
    rig.run(hours=2)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.PERMANENT_FAIL
    assert payment.closed_reason is ClosedReason.WINDOW_CLOSED


def test_a_payment_after_we_gave_up_is_still_money_but_not_ours(rig: Rig):
    payment_id = rig.fail("insufficient_funds")
    rig.run(hours=5)
    rig.world.member_pays(payment_id, rig.clock.now)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert payment.recovered_by is RecoveredBy.WITHOUT_US


# --- asking first ------------------------------------------------------------------------------


def test_it_asks_before_it_charges_and_leaves_a_paid_payment_alone(rig: Rig):
    payment_id = rig.fail()
    rig.world.faults.add("webhook", "drop")
    rig.world.member_pays(payment_id, rig.at(0.5))
    rig.run()
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert payment.recovered_by is RecoveredBy.WITHOUT_US
    assert rig.outcomes(payment_id) == ["refused"]
    assert rig.charges(payment_id) == []


def test_it_does_not_charge_what_whop_calls_not_retryable(rig: Rig):
    payment_id = rig.fail()
    rig.world.faults.add("webhook", "drop")
    rig.world.cancel_membership(payment_id, rig.at(0.5))
    rig.run(hours=3)
    assert rig.payment(payment_id).status is PaymentStatus.FAILED
    assert rig.outcomes(payment_id) == ["refused"]
    assert rig.charges(payment_id) == []


def test_a_stopped_payment_is_not_even_asked_to_be_charged(rig: Rig, asked):
    payment_id = rig.fail()
    rig.world.faults.add("webhook", "drop")
    rig.world.cancel_membership(payment_id, rig.at(0.5))
    rig.run()
    assert asked == []
    assert rig.outcomes(payment_id) == ["refused"]


@pytest.mark.parametrize("shows_limit", [True, False])
def test_a_refusal_ends_the_retries_but_not_the_payment(rig: Rig, shows_limit):
    """Whop's text: a payment can typically be retried once. Whether it says so beforehand or only
    refuses is not known."""
    rig.world.switches.retry_limit = 1
    rig.world.switches.retryable_shows_limit = shows_limit
    payment_id = rig.fail("insufficient_funds")
    rig.run(hours=6)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.FAILED
    assert payment.retry_count == 1
    assert rig.outcomes(payment_id) == ["declined", "refused"][: len(rig.outcomes(payment_id))]
    assert len(rig.charges(payment_id)) == 1


def test_a_decline_that_forbids_charging_is_seen_just_before_the_charge(rig: Rig, asked):
    """Whop's own try was declined for good, and nobody told us."""
    rig.world.switches.whop_attempts_after_hours = (0.5,)
    payment_id = rig.fail("insufficient_funds", "blocked_by_cardholder", "paid")
    rig.world.faults.add("webhook", "drop", times=None)
    rig.run(hours=3)
    assert asked == []
    payment = rig.payment(payment_id)
    assert payment.closed_reason is ClosedReason.CONSENT_WITHDRAWN
    assert rig.outcomes(payment_id) == ["refused"]


def test_a_retry_that_comes_too_late_for_its_window_is_not_made(rig: Rig):
    """The daemon was away for days."""
    rig.world.switches.whop_cancels_after_days = None
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.pass_time(24 * 5 + 1)
    rig.cycle.run()
    assert rig.charges(payment_id) == []
    assert rig.payment(payment_id).closed_reason is ClosedReason.WINDOW_CLOSED


# --- no answer is not a failure ----------------------------------------------------------------


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "500_after", "status"])
@pytest.mark.parametrize("end", ["paid", "insufficient_funds"])
def test_an_unknown_outcome_is_settled_by_asking_and_charged_once(rig: Rig, fault, end):
    payment_id = rig.fail("insufficient_funds", end)
    rig.world.faults.add("payments.retry", fault, status=503)
    rig.pass_time(1)
    rig.world.faults.add("webhook", "drop", times=5)  # the answer must come from asking
    rig.cycle.run()
    assert rig.outcomes(payment_id) == ["unknown"]
    assert rig.payment(payment_id).retry_count == 0
    rig.pass_time(0.5)
    rig.cycle.run()
    assert rig.charges(payment_id) == [end]
    assert rig.outcomes(payment_id) == ["paid" if end == "paid" else "declined"]
    payment = rig.payment(payment_id)
    if end == "paid":
        assert payment.recovered_by is RecoveredBy.RETRY
    else:
        assert (payment.status, payment.retry_count) == (PaymentStatus.PENDING_RETRY, 1)


def test_an_outcome_that_stays_unknown_is_never_charged_under_a_new_key(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.world.faults.add("payments.retry", "timeout_before", times=None)
    rig.run(hours=8)
    assert rig.outcomes(payment_id) == ["unknown"]
    rig.world.faults.clear()
    rig.run()
    assert [c.idempotency_key for c in rig.world.ledger.charges(payment_id) if c.by == "retry"] == [
        f"retry:{payment_id}:1"
    ]


def test_when_whop_cannot_be_asked_nothing_is_sent_and_nothing_is_lost(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.world.faults.add("payments.retrieve", "status", status=500, times=3)
    rig.run()
    assert rig.charges(payment_id) == []
    assert rig.payment(payment_id).status is PaymentStatus.PENDING_RETRY
    rig.run()
    assert rig.charges(payment_id) == ["paid"]
    assert rig.payment(payment_id).retry_count == 0


@pytest.mark.parametrize("error", [DownError("not sent"), BusyError("not sent", MINUTE)])
def test_what_was_not_sent_did_not_happen(rig: Rig, monkeypatch, error):
    """Only the charge is held back: Whop goes down after it was asked how the payment stands."""
    payment_id = rig.fail("insufficient_funds", "paid")
    with monkeypatch.context() as patch:
        patch.setattr(rig.cycle.retrier.whop, "retry_payment", fail_with(error))
        rig.run()
    assert rig.outcomes(payment_id) == ["refused"]
    payment = rig.payment(payment_id)
    assert (payment.status, payment.retry_count) == (PaymentStatus.PENDING_RETRY, 0)
    assert payment.next_retry_at == rig.at(1) + MINUTE
    rig.run()
    assert rig.outcomes(payment_id) == ["refused", "paid"]


@pytest.mark.parametrize("call", ["get_payment", "retry_payment"])
@pytest.mark.parametrize("error", [DownError("not sent"), BusyError("not sent", MINUTE)])
def test_what_was_sent_before_stays_unknown_though_nothing_was_sent_now(
    rig: Rig, monkeypatch, call, error
):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.world.faults.add("payments.retry", "timeout_before")
    rig.run()
    with monkeypatch.context() as patch:
        patch.setattr(rig.cycle.retrier.whop, call, fail_with(error))
        rig.run()
    assert rig.outcomes(payment_id) == ["unknown"]
    rig.run()
    assert rig.outcomes(payment_id) == ["paid"]
    assert rig.charges(payment_id) == ["paid"]


def test_when_whop_is_down_the_cycle_hurts_no_payment(rig: Rig):
    payment_ids = [rig.fail("insufficient_funds", "paid") for _ in range(4)]
    rig.world.faults.add("payments.retrieve", "status", times=None)
    rig.run()
    whop = rig.cycle.retrier.whop
    assert whop.circuit.down_since == rig.clock.now
    # Three tries for the first and two for the second opened it; nothing else was taken up.
    assert sum(len(rig.attempts(i)) for i in payment_ids) == 2
    assert all(rig.payment(i).status is PaymentStatus.PENDING_RETRY for i in payment_ids)
    rig.world.faults.clear()
    rig.run()
    assert whop.circuit.down_since is None
    assert [rig.charges(i) for i in payment_ids] == [["paid"]] * 4


@pytest.mark.parametrize("status", [401, 403, 429])
def test_trouble_with_our_key_is_not_the_payments_fault(rig: Rig, status, caplog):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.world.faults.add("payments.retry", "status", status=status)
    rig.run()
    payment = rig.payment(payment_id)
    assert (payment.status, payment.retry_count) == (PaymentStatus.PENDING_RETRY, 0)
    rig.run(hours=2)
    assert rig.payment(payment_id).status is PaymentStatus.RECOVERED
    if status != 429:
        assert "does not accept our key" in caplog.text


def test_an_asynchronous_answer_is_waited_for_not_guessed(rig: Rig):
    rig.world.switches.retry_answers = "async"
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.pass_time(1)
    rig.cycle.run()
    assert rig.outcomes(payment_id) == ["unknown"]
    rig.run()
    assert rig.outcomes(payment_id) == ["paid"]
    assert rig.payment(payment_id).recovered_by is RecoveredBy.RETRY


def test_a_charge_that_the_bank_is_settling_waits_and_then_counts(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "pending:paid")
    rig.run()
    assert rig.outcomes(payment_id) == ["pending"]
    assert rig.payment(payment_id).status is not PaymentStatus.RECOVERED
    rig.run(hours=72)
    assert rig.outcomes(payment_id) == ["paid"]
    assert rig.payment(payment_id).recovered_by is RecoveredBy.RETRY
    assert len(rig.charges(payment_id)) == 1


# --- webhook and answer, in either order -------------------------------------------------------


@pytest.mark.parametrize("timing", ["after_answer", "before_answer"])
@pytest.mark.parametrize("shape", ["current", "legacy"])
def test_our_retrys_own_webhook_never_counts_it_twice(rig: Rig, timing, shape):
    rig.world.switches.webhook_timing = timing
    rig.world.switches.webhook_shape = shape
    payment_id = rig.fail("insufficient_funds", "insufficient_funds", "paid")
    rig.run()
    assert rig.payment(payment_id).retry_count == 1
    rig.run()
    payment = rig.payment(payment_id)
    assert (payment.retry_count, payment.status) == (1, PaymentStatus.RECOVERED)
    assert payment.recovered_by is RecoveredBy.RETRY
    assert rig.outcomes(payment_id) == ["declined", "paid"]


def test_a_payment_that_whop_collects_itself_is_not_claimed(rig: Rig):
    rig.world.switches.whop_attempts_after_hours = (24,)
    payment_id = rig.fail("stolen_card", "paid")
    rig.run(hours=25)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert payment.recovered_by is RecoveredBy.WITHOUT_US


def test_a_charge_of_whops_own_that_settles_later_is_not_claimed(rig: Rig):
    rig.world.switches.whop_attempts_after_hours = (24,)
    payment_id = rig.fail("stolen_card", "pending:paid")
    rig.pass_time(1)
    rig.message_sender.send_due()
    rig.run(hours=100)
    assert rig.payment(payment_id).recovered_by is RecoveredBy.WITHOUT_US


def test_a_charge_of_ours_that_settles_after_whops_announced_time_is_ours(rig: Rig):
    rig.world.switches.whop_attempts_after_hours = (24,)
    payment_id = rig.fail("insufficient_funds", "pending:paid")
    rig.run(hours=100)
    assert rig.charges(payment_id) == ["paid"]
    assert rig.payment(payment_id).recovered_by is RecoveredBy.RETRY


def test_an_unknown_attempt_beside_whops_own_is_not_claimed(rig: Rig):
    """Ours timed out before it charged; Whop's own charge, due right then, collected it."""
    rig.world.switches.whop_attempts_after_hours = (1.1,)
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.world.faults.add("payments.retry", "timeout_before", times=None)
    rig.pass_time(1)
    rig.cycle.run()
    rig.pass_time(1)
    rig.cycle.run()
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert payment.recovered_by is RecoveredBy.WITHOUT_US
    assert rig.charges(payment_id) == []


# --- crashes -----------------------------------------------------------------------------------


def crash_in(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, after: bool) -> None:
    real = getattr(owner, name)

    def crash(*arguments, **named):
        if after:
            real(*arguments, **named)
        raise Killed

    monkeypatch.setattr(owner, name, crash)


@pytest.mark.parametrize("end", ["paid", "insufficient_funds"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["get_payment", "mark_sent", "retry_payment", "conclude"])
def test_a_crash_at_any_step_charges_once_at_most_and_is_made_good(
    rig: Rig, monkeypatch, step, after, end
):
    payment_id = rig.fail("insufficient_funds", end)
    rig.pass_time(1)
    ours = {"mark_sent": claims, "conclude": conclusions}
    owner = ours.get(step, rig.cycle.retrier.whop)
    with monkeypatch.context() as patch:
        crash_in(patch, owner, step, after)
        with pytest.raises(Killed):
            rig.cycle.retrier.retry_one()
    assert len(rig.charges(payment_id)) <= 1
    rig.pass_time(0.4)
    rig.cycle.run()
    rig.world.deliver_due(rig.clock.now)
    assert rig.charges(payment_id) == [end]
    assert rig.outcomes(payment_id) == ["paid" if end == "paid" else "declined"]


def test_an_attempt_in_hand_is_not_taken_over_while_its_lease_runs(rig: Rig, monkeypatch):
    payment_id = rig.fail()
    rig.pass_time(1)
    with monkeypatch.context() as patch:
        crash_in(patch, claims, "mark_sent", after=False)
        with pytest.raises(Killed):
            rig.cycle.retrier.retry_one()
    rig.clock.now += LEASE / 2
    rig.cycle.run()
    assert rig.outcomes(payment_id) == ["open"]
    rig.clock.now += LEASE
    rig.cycle.run()
    assert rig.outcomes(payment_id) == ["paid"]


@pytest.mark.parametrize("slept", [LEASE, 2 * LEASE])
def test_a_daemon_that_slept_past_its_lease_does_not_charge(rig: Rig, monkeypatch, slept):
    """Another may have taken the attempt over: the last look before the charge sees that."""
    payment_id = rig.fail()
    rig.pass_time(1)
    retrier = rig.cycle.retrier
    real = retrier.whop.get_payment

    def sleep_then_answer(*arguments):
        rig.clock.now += slept
        return real(*arguments)

    monkeypatch.setattr(retrier.whop, "get_payment", sleep_then_answer)
    retrier.retry_one()
    assert rig.charges(payment_id) == []
    assert rig.payment(payment_id).status is PaymentStatus.PENDING_RETRY


@pytest.fixture
def asked(rig: Rig, monkeypatch) -> list[str]:
    """The payments that Whop was asked to charge. It answers none of them."""
    asked: list[str] = []

    def note(payment_id, *arguments):
        asked.append(payment_id)
        raise NoAnswerError("nobody is there")

    monkeypatch.setattr(rig.cycle.retrier.whop, "retry_payment", note)
    return asked


@pytest.mark.parametrize("act", ["member_pays", "cancel_membership"])
def test_a_payment_that_is_paid_or_stopped_while_we_ask_is_not_charged(
    rig: Rig, monkeypatch, asked, act
):
    payment_id = rig.fail()
    rig.pass_time(1)
    real = rig.cycle.retrier.whop.get_payment

    def act_after_answer(*arguments):
        answer = real(*arguments)
        getattr(rig.world, act)(payment_id, rig.clock.now)
        return answer

    monkeypatch.setattr(rig.cycle.retrier.whop, "get_payment", act_after_answer)
    rig.cycle.retrier.retry_one()
    assert asked == []
    paid = act == "member_pays"
    assert rig.payment(payment_id).status == ("recovered" if paid else "permanent_fail")


def test_a_paid_payment_is_not_charged_whatever_else_whop_says(rig: Rig, monkeypatch, asked):
    """An older shape may not carry `retryable` at all."""
    payment_id = rig.fail()
    rig.world.faults.add("webhook", "drop")
    rig.world.member_pays(payment_id, rig.at(0.5))
    real = rig.cycle.retrier.whop.get_payment
    monkeypatch.setattr(
        rig.cycle.retrier.whop, "get_payment", lambda *a: replace(real(*a), retryable=None)
    )
    rig.run()
    assert asked == []
    assert rig.payment(payment_id).status is PaymentStatus.RECOVERED


# --- side by side ------------------------------------------------------------------------------


def test_two_daemons_share_the_work_and_never_a_payment(rig: Rig):
    payment_ids = [rig.fail("insufficient_funds", "paid") for _ in range(24)]
    rig.pass_time(1)
    retriers = [
        Retrier(rig.sessions, rig.cycle.retrier.whop, rig.rules, rig.clock, "one key")
        for _ in range(2)
    ]

    def drain(retrier: Retrier) -> None:
        while retrier.retry_one():
            pass

    threads = [threading.Thread(target=drain, args=[retrier]) for retrier in retriers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [rig.charges(payment_id) for payment_id in payment_ids] == [["paid"]] * 24


def test_one_of_two_connections_claims_a_payment_and_the_other_finds_nothing(
    rig: Rig, sessions: SessionFactory
):
    rig.fail()
    rig.pass_time(1)
    with sessions() as one, sessions() as other:
        assert claims.claim_due(one, rig.clock.now, rig.rules) is not None
        other.execute(text("set local lock_timeout = '1s'"))  # it does not wait for the first
        assert claims.claim_due(other, rig.clock.now, rig.rules) is None
        one.commit()
        assert claims.claim_due(other, rig.clock.now, rig.rules) is None


def test_the_database_refuses_a_second_open_attempt(rig: Rig, session: Session):
    payment_id = rig.fail()
    row = (
        "insert into attempts (payment_id, company_id, number, trigger, outcome,"
        " idempotency_key, started_at) values (:id, 'biz', :n, 'schedule', :outcome, :key, now())"
    )
    first = {"id": payment_id, "n": 1, "outcome": AttemptOutcome.OPEN, "key": "a"}
    session.execute(text(row), first)
    with pytest.raises(Exception, match="uq_attempts_unsettled"):
        session.execute(text(row), first | {"n": 2, "outcome": "unknown", "key": "b"})
    session.rollback()


def test_no_call_to_whop_is_made_inside_a_transaction(rig: Rig, engine: Engine, monkeypatch):
    rig.fail("insufficient_funds", "insufficient_funds", "paid")
    seen = []
    http = rig.cycle.retrier.whop.wire.http
    real = http.request

    def look_then_call(*arguments, **named):
        assert isinstance(engine.pool, QueuePool)
        seen.append(engine.pool.checkedout())
        return real(*arguments, **named)

    monkeypatch.setattr(http, "request", look_then_call)
    rig.run(hours=3)
    assert seen == [0] * 4


def test_one_payment_that_breaks_the_code_does_not_stop_the_others(
    rig: Rig, monkeypatch, caplog: pytest.LogCaptureFixture
):
    broken, healthy = rig.fail(), rig.fail()
    real = rig.cycle.retrier.whop.get_payment

    def break_once(payment_id, company_id):
        if payment_id == broken:
            raise RuntimeError("a bug")
        return real(payment_id, company_id)

    monkeypatch.setattr(rig.cycle.retrier.whop, "get_payment", break_once)
    rig.pass_time(1)
    counts = rig.cycle.run()
    assert counts.errors == 1
    assert rig.charges(healthy) == ["paid"]
    assert rig.outcomes(broken) == ["open"]
    assert "could not be processed" in caplog.text


def test_every_decision_is_one_log_line_without_a_person_in_it(rig: Rig, caplog):
    caplog.set_level(logging.INFO)
    payment_id = rig.fail(email="someone@example.com", name="Some One")
    rig.run()
    assert f"retry 1 of {payment_id} paid" in caplog.text
    assert "someone@example.com" not in caplog.text
    assert "Some One" not in caplog.text


def test_a_declined_retry_is_logged_with_its_number_and_decline_code(rig: Rig, caplog):
    caplog.set_level(logging.INFO)
    payment_id = rig.fail("insufficient_funds", "insufficient_funds", "paid")
    rig.run()
    assert f"retry 1 of {payment_id} declined: insufficient_funds" in caplog.text


READINGS: tuple[dict[str, Any], ...] = (
    {"retry_limit": 1},
    {"retry_limit": 1, "retry_rearmed_by_whop_attempt": True},
    {"retry_answers": "async"},
    {"retry_moves_next_attempt": True, "webhook_timing": "before_answer"},
    {"failed_webhook_for": "first_only", "webhook_shape": "legacy"},
    {"lapsed_payment": "void"},
)
UNUSUAL: tuple[tuple[str, Any], ...] = (
    ("retry_limit", 1),
    ("retryable_shows_limit", False),
    ("retry_rearmed_by_whop_attempt", True),
    ("retry_rearmed_by_card_change", True),
    ("retry_uses_new_card", False),
    ("retry_answers", "async"),
    ("retry_moves_next_attempt", True),
    ("card_change_charges", False),
    ("card_update_answers", "async"),
    ("card_update_charges", "newest"),
    ("card_update_charges", "every"),
    ("unknown_card_status", 404),
    ("cancel_request_stops_retries", True),
    ("failed_webhook_for", "first_only"),
    ("webhook_shape", "legacy"),
    ("webhook_timing", "before_answer"),
    ("lapsed_payment", "uncollectible"),
    ("lapsed_payment", "void"),
    ("max_page", 2),
)
PAIRS = [dict(pair) for pair in itertools.combinations(UNUSUAL, 2) if pair[0][0] != pair[1][0]]
TRIED = (*READINGS, *PAIRS) if SEED else READINGS


@pytest.mark.soak
@pytest.mark.parametrize(("number", "reading"), [*enumerate(TRIED)], ids=str)
def test_under_every_reading_of_whop_the_ledger_shows_one_paid_charge(
    sessions: SessionFactory, tmp_path, number: int, reading: dict[str, Any]
):
    """A short life in a world that Whop's documentation allows."""
    rig = Rig(sessions, tmp_path, seed=SEED + number)
    vars(rig.world.switches).update(reading)
    payment_ids = [rig.world.fail_renewal(NOW) for _ in range(12)]
    rig.run(hours=125)
    assert rig.world.ledger.paid_twice() == []
    for payment_id in payment_ids:
        paid = "paid" in [c.outcome for c in rig.world.ledger.charges(payment_id)]
        payment = rig.payment(payment_id)
        assert (payment.status is PaymentStatus.RECOVERED) == paid
        if payment.recovered_by is RecoveredBy.RETRY:
            assert "paid" in rig.charges(payment_id)
