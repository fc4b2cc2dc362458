"""The member's other saved card: tried once, only where a creator allows it, never twice."""

from __future__ import annotations

from typing import Any

import pytest

from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from recovery.status import ChargeMethod, PaymentStatus, RecoveredBy
from tests.factories import COMPANY
from tests.rig import Rig
from tests.test_retries import Killed, crash_in


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    with sessions.begin() as session:
        save_recovery_settings(
            session, COMPANY, RecoverySettings(backup_card=True), "somebody", rig.clock.now
        )
    return rig


def fail_with_spare(rig: Rig, *script: str, spare: str = "paid", **wanted) -> str:
    """A member whose card on file is of no use any more, and who has saved another."""
    wanted = {"spare_cards": 1, "spare_script": (spare,)} | wanted
    return rig.fail(*(script or ("expired_card",)), **wanted)


def swaps(rig: Rig, payment_id: str) -> list[str]:
    return rig.charges(payment_id, by="backup")


# By then the night is over wherever it fell.
SMART_HOURS = 30


@pytest.fixture(autouse=True)
def smart(rig: Rig) -> None:
    """The plain policy would wear the dead card out first."""
    rig.use(policy="smart")


def test_it_pays_where_the_card_on_file_cannot(rig: Rig):
    payment_id = fail_with_spare(rig)
    rig.run(hours=SMART_HOURS)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert payment.recovered_by is RecoveredBy.RETRY
    assert swaps(rig, payment_id) == ["paid"]
    assert [attempt.charge_method for attempt in rig.attempts(payment_id)] == [
        ChargeMethod.BACKUP_CARD
    ]


def test_without_the_creators_leave_no_other_card_is_touched(rig: Rig, session):
    with rig.sessions.begin() as session:
        save_recovery_settings(session, COMPANY, RecoverySettings(), "somebody", rig.clock.now)
    payment_id = fail_with_spare(rig)
    rig.run(hours=SMART_HOURS)
    assert swaps(rig, payment_id) == []
    assert rig.payment(payment_id).status is PaymentStatus.FAILED


@pytest.mark.parametrize("code", ["stolen_card", "blocked_by_cardholder", "duplicate_transaction"])
def test_it_is_not_tried_where_somebody_said_no_to_the_seller(rig: Rig, code):
    payment_id = fail_with_spare(rig, code)
    rig.run(hours=SMART_HOURS)
    assert swaps(rig, payment_id) == []


def test_a_decline_of_it_is_the_last_of_its_tries(rig: Rig):
    payment_id = fail_with_spare(rig, spare="insufficient_funds")
    rig.run(hours=100)
    assert swaps(rig, payment_id) == ["insufficient_funds"]


def test_a_member_without_another_card_is_asked_about_once(rig: Rig, monkeypatch):
    payment_id = rig.fail("expired_card", spare_cards=0)
    asked: list[Any] = []
    whop = rig.cycle.retrier.whop
    real = whop.list_saved_cards

    def note_and_list(*arguments: Any) -> Any:
        asked.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(whop, "list_saved_cards", note_and_list)
    rig.run(hours=100)
    assert len(asked) == 1
    assert rig.outcomes(payment_id) == ["refused"]
    assert rig.payment(payment_id).status is PaymentStatus.FAILED
    assert rig.payment(payment_id).retryable


def test_an_expired_spare_is_no_spare(rig: Rig):
    payment_id = fail_with_spare(rig, spare_expired=True)
    rig.run(hours=SMART_HOURS)
    assert swaps(rig, payment_id) == []


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "500_after"])
@pytest.mark.parametrize("spare", ["paid", "insufficient_funds"])
def test_a_change_of_card_without_an_answer_is_never_repeated(rig: Rig, fault, spare):
    payment_id = fail_with_spare(rig, spare=spare)
    rig.world.faults.add("memberships.update", fault)
    rig.run(hours=100)
    assert len(swaps(rig, payment_id)) == (0 if fault == "timeout_before" else 1)
    assert rig.payment(payment_id).next_charge_method is not ChargeMethod.BACKUP_CARD
    assert rig.world.ledger.paid_twice() == []


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refused_change_of_card_is_not_tried_again(rig: Rig, status):
    payment_id = fail_with_spare(rig)
    rig.world.faults.add("memberships.update", "status", status=status)
    rig.run(hours=100)
    assert swaps(rig, payment_id) == []
    assert rig.payment(payment_id).status is not PaymentStatus.PENDING_RETRY


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["list_saved_cards", "change_card"])
def test_a_crash_around_it_changes_the_card_once_at_most(rig: Rig, monkeypatch, step, after):
    payment_id = fail_with_spare(rig, spare="insufficient_funds")
    due = rig.payment(payment_id).next_retry_at
    assert due is not None
    rig.pass_time((due - rig.clock.now).total_seconds() / 3600 + 0.01)
    with monkeypatch.context() as patch:
        crash_in(patch, rig.cycle.retrier.whop, step, after)
        with pytest.raises(Killed):
            rig.cycle.retrier.retry_one()
    rig.run(hours=60)
    assert len(swaps(rig, payment_id)) <= 1


def test_an_answer_still_to_come_is_waited_for(rig: Rig):
    rig.world.switches.card_update_answers = "async"
    payment_id = fail_with_spare(rig)
    rig.run(hours=SMART_HOURS)
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.RECOVERED
    assert swaps(rig, payment_id) == ["paid"]
