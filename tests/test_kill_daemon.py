"""kill -9 at every step of a retry and of a message. The oracle is the sandbox's ledger of real
charges, and its letter box."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Engine

from tests.processes import Stage, stage_in, wait_until

STEPS = ["claimed", "asked", "marked_sent", "charged", "concluding", "concluded"]
ENDS = ["paid", "insufficient_funds"]
EMAIL = {"EMAIL_ENABLED": "true"}


def has_sent(stage: Stage, payment_id: str) -> bool:
    return any(attempt.sent_at for attempt in stage.attempts(payment_id))


@pytest.fixture(scope="module")
def module_stage(migrated_engine: Engine, tmp_path_factory) -> Iterator[Stage]:
    with stage_in(tmp_path_factory.mktemp("stage"), migrated_engine) as stage:
        yield stage


@pytest.fixture
def stage(module_stage: Stage) -> Iterator[Stage]:
    yield module_stage
    module_stage.clear()


def fail_both(stage: Stage) -> list[str]:
    """Two payments that are due: a retry of the first would be paid, of the second declined."""
    payment_ids = [stage.fail("insufficient_funds", end) for end in ENDS]
    stage.make_due(*payment_ids)
    return payment_ids


def kill_at(stage: Stage, step: str, number: int = 2, **environment: str) -> None:
    daemon = stage.daemon(f"-m tests.kill_at {step} {number}", **environment)
    assert daemon.wait() == -signal.SIGKILL


def restart_after_the_lease(stage: Stage) -> None:
    stage.let_leases_lapse()
    stage.work_once()


def check(stage: Stage, payment_id: str, end: str) -> None:
    """Charged once, and the database says what the ledger says."""
    retries = stage.retries(payment_id)
    assert [charge["outcome"] for charge in retries] == [end]
    assert [charge["idempotency_key"] for charge in retries] == [f"retry:{payment_id}:1"]
    outcome = "paid" if end == "paid" else "declined"
    assert [attempt.outcome for attempt in stage.attempts(payment_id)] == [outcome]
    payment = stage.row(payment_id)
    assert payment.claimed_until is None
    if end == "paid":
        assert (payment.status, payment.recovered_by) == ("recovered", "retry")
        assert payment.retry_count == 0
    else:
        assert (payment.status, payment.retry_count) == ("pending_retry", 1)


def check_both(stage: Stage, payment_ids: list[str]) -> None:
    for payment_id, end in zip(payment_ids, ENDS, strict=True):
        check(stage, payment_id, end)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_charges_once_and_the_books_agree(stage: Stage, step):
    """No webhook helps: it must find out by asking."""
    payment_ids = fail_both(stage)
    stage.break_down("webhook", "drop", times=None)
    kill_at(stage, step)
    if step != "concluded":
        for payment_id in payment_ids:
            assert [attempt.outcome for attempt in stage.attempts(payment_id)] == ["open"]
            assert stage.row(payment_id).status == "pending_retry"
    restart_after_the_lease(stage)
    check_both(stage, payment_ids)


@pytest.mark.parametrize("step", ["charged", "concluded"])
def test_killed_while_whops_webhooks_come_in_it_counts_nothing_twice(stage: Stage, step):
    """After the charge Whop speaks as well, at any moment; before it, it has nothing to say."""
    payment_ids = fail_both(stage)
    kill_at(stage, step)
    restart_after_the_lease(stage)
    check_both(stage, payment_ids)
    for payment_id in payment_ids:
        stage.wait_for_webhooks(payment_id)
    check_both(stage, payment_ids)


@pytest.mark.parametrize("step", ["marked_sent", "charged"])
def test_killed_again_while_it_makes_good_it_still_charges_once(stage: Stage, step):
    """The first kill comes before the charge, so the second run has every step to go through."""
    payment_ids = fail_both(stage)
    stage.break_down("webhook", "drop", times=None)
    kill_at(stage, "marked_sent")
    stage.let_leases_lapse()
    kill_at(stage, step)
    restart_after_the_lease(stage)
    check_both(stage, payment_ids)


@pytest.mark.parametrize("kind", ["latency", "timeout_before"])
def test_killed_while_whop_keeps_it_waiting_it_charges_once(stage: Stage, kind):
    """Whop has charged and does not say so, or has not charged at all: from here it looks alike."""
    payment_ids = fail_both(stage)
    stage.break_down("webhook", "drop", times=None)
    stage.break_down("payments.retry", kind, seconds=60, times=2)
    daemon = stage.daemon()
    for payment_id in payment_ids:
        wait_until(partial(has_sent, stage, payment_id), "it has sent")
        if kind == "latency":
            wait_until(partial(stage.retries, payment_id), "Whop has charged")
    daemon.kill()
    stage.mend()
    restart_after_the_lease(stage)
    check_both(stage, payment_ids)


def test_while_the_lease_runs_nobody_touches_what_the_killed_one_left(stage: Stage):
    payment_ids = fail_both(stage)
    kill_at(stage, "marked_sent")
    stage.work_once()
    for payment_id in payment_ids:
        assert stage.retries(payment_id) == []
        assert [attempt.outcome for attempt in stage.attempts(payment_id)] == ["open"]
    restart_after_the_lease(stage)
    check_both(stage, payment_ids)


# --- messages ----------------------------------------------------------------------------------


def message(stage: Stage, payment_id: str):
    return stage.rows("select * from messages where payment_id = :id", id=payment_id)[0]


def let_it_count_as_interrupted(stage: Stage) -> None:
    stage.execute(
        "update messages set sending_at = now() - interval '11 minutes' where state = 'sending'"
    )


@pytest.mark.parametrize(("step", "mails"), [("mail_taken", 0), ("mail_sent", 1)])
def test_killed_around_a_mail_it_never_sends_a_second_one(stage: Stage, step, mails):
    payment_id = stage.fail("expired_card", "paid")
    kill_at(stage, step, 1, **EMAIL)
    assert message(stage, payment_id).state == "sending"
    stage.work_once(**EMAIL)
    assert message(stage, payment_id).state == "sending"  # it might still be at it
    let_it_count_as_interrupted(stage)
    stage.work_once(**EMAIL)
    assert message(stage, payment_id).state == "unknown"
    assert len(stage.mails(payment_id)) == mails


def test_killed_while_the_mail_service_keeps_it_waiting_it_sends_once(stage: Stage):
    payment_id = stage.fail("expired_card", "paid")
    stage.break_down("mail.send", "latency", seconds=60)
    daemon = stage.daemon(**EMAIL)
    wait_until(lambda: stage.mails(payment_id), "the mail was taken")
    daemon.kill()
    stage.mend()
    let_it_count_as_interrupted(stage)
    stage.work_once(**EMAIL)
    assert message(stage, payment_id).state == "unknown"
    assert len(stage.mails(payment_id)) == 1
