"""What ends the work on a payment at once, and keeps the reason."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from db.ledger import payments
from db.member_messages import planner
from db.models import WebhookEvent
from recovery.status import ClosedReason, MessageState, PaymentStatus
from tests.rig import Rig


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    return rig


def fail_for_a_known_member(rig: Rig) -> tuple[str, str]:
    """An earlier renewal that was paid, and the next one, which failed."""
    paid = rig.world.renew(rig.clock.now)
    rig.pass_time(1)
    membership_id = rig.world.store.payment(paid).membership_id
    return paid, rig.fail("insufficient_funds", "paid", membership_id=membership_id)


def assert_stopped(rig: Rig, payment_id: str, reason: ClosedReason) -> None:
    payment = rig.payment(payment_id)
    assert payment.status is PaymentStatus.PERMANENT_FAIL
    assert payment.closed_reason is reason
    rig.run(hours=8)
    assert rig.charges(payment_id) == []


@pytest.mark.parametrize("shape", ["current", "legacy"])
@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("cancel_membership", ClosedReason.MEMBERSHIP_ENDED),
        ("cancel_at_period_end", ClosedReason.MEMBER_CANCELED),
        ("void", ClosedReason.CANCELED),
    ],
)
def test_it_stops_as_soon_as_whop_tells(rig: Rig, act, reason, shape):
    rig.world.switches.webhook_shape = shape
    payment_id = rig.fail()
    getattr(rig.world, act)(payment_id, rig.clock.now)
    assert_stopped(rig, payment_id, reason)


def test_uncollectible_is_seen_when_it_is_read_back(rig: Rig):
    """Whop sends no event for it that we know of."""
    payment_id = rig.fail()
    rig.world.mark_uncollectible(payment_id, rig.clock.now)
    rig.clock.now = rig.at(0.1)
    rig.reconciler.run()
    assert_stopped(rig, payment_id, ClosedReason.CANCELED)


@pytest.mark.parametrize("shape", ["current", "legacy"])
def test_a_dispute_of_an_earlier_payment_stops_what_its_member_owes(rig: Rig, shape):
    rig.world.switches.webhook_shape = shape
    paid, owed = fail_for_a_known_member(rig)
    bystander = rig.fail()
    rig.world.dispute(paid, rig.clock.now)
    assert rig.payment(bystander).status is PaymentStatus.PENDING_RETRY
    assert_stopped(rig, owed, ClosedReason.DISPUTED)


def test_an_alert_that_does_not_tell_whose_it_is_is_found_out(rig: Rig, session):
    paid, owed = fail_for_a_known_member(rig)
    rig.world.dispute_alert(paid, rig.clock.now)
    assert rig.payment(owed).status is PaymentStatus.PENDING_RETRY
    rig.reconciler.run()
    assert_stopped(rig, owed, ClosedReason.DISPUTED)
    alert = select(WebhookEvent).where(WebhookEvent.type == "dispute_alert.created")
    assert session.scalars(alert).one().applied_at is not None


def test_a_later_failure_of_a_disputing_member_is_not_charged(rig: Rig):
    paid = rig.world.renew(rig.clock.now)
    rig.world.dispute(paid, rig.clock.now)
    membership_id = rig.world.store.payment(paid).membership_id
    rig.pass_time(1)
    payment_id = rig.fail("insufficient_funds", "paid", membership_id=membership_id)
    rig.run(hours=2)
    assert rig.payment(payment_id).closed_reason is ClosedReason.DISPUTED
    assert rig.charges(payment_id) == []


def test_a_dispute_reaches_no_other_company(rig: Rig):
    paid, _ = fail_for_a_known_member(rig)
    theirs = rig.fail("insufficient_funds", "paid", account_id="biz_other")
    rig.world.dispute(paid, rig.clock.now)
    assert rig.payment(theirs).status is PaymentStatus.PENDING_RETRY


def test_a_member_who_renews_again_after_all_is_not_reopened(rig: Rig):
    """A stop is final: what is still owed Whop will collect, or the member."""
    payment_id = rig.fail()
    rig.world.cancel_at_period_end(payment_id, rig.clock.now)
    rig.world.uncancel(payment_id, rig.at(0.5))
    rig.run(hours=3)
    assert rig.charges(payment_id) == []


def test_a_stopped_payment_that_is_paid_after_all_is_still_money(rig: Rig):
    payment_id = rig.fail()
    rig.world.cancel_at_period_end(payment_id, rig.clock.now)
    rig.world.member_pays(payment_id, rig.at(1))
    assert rig.payment(payment_id).status is PaymentStatus.RECOVERED


def test_a_window_that_closes_takes_back_what_is_queued_and_no_other_payments_word(
    rig: Rig, session
):
    ending = rig.fail("expired_card")
    planner.queue_due(session, rig.at(0.1))
    session.commit()
    rig.pass_time(24)
    going_on = rig.fail("expired_card", "paid")
    planner.queue_due(session, rig.at(24.1))
    session.commit()
    rig.clock.now = rig.payment(ending).window_ends_at
    assert rig.cycle.close_windows() == 1
    assert rig.payment(ending).closed_reason is ClosedReason.WINDOW_CLOSED
    taken_back = [(m.state, m.detail) for m in rig.messages(ending)]
    assert taken_back == [(MessageState.SKIPPED, "deadline passed")]
    assert [m.state for m in rig.messages(going_on)] == [MessageState.QUEUED]


def test_windows_close_in_batches_until_none_is_left(rig: Rig, monkeypatch):
    monkeypatch.setattr(payments, "MOST_AT_ONCE", 2)
    ended = [rig.fail("insufficient_funds") for _ in range(5)]
    rig.clock.now = rig.at(6 * 24)
    assert rig.cycle.close_windows() == 5
    assert {rig.payment(p).closed_reason for p in ended} == {ClosedReason.WINDOW_CLOSED}


def test_a_window_does_not_close_over_a_payment_that_somebody_holds(rig: Rig, sessions):
    held, free = rig.fail("insufficient_funds"), rig.fail("insufficient_funds")
    rig.clock.now = rig.at(6 * 24)
    with sessions.begin() as session:
        payments.lock_payments(session, [held])
        assert rig.cycle.close_windows() == 1
    assert rig.payment(free).status is PaymentStatus.PERMANENT_FAIL
    assert rig.cycle.close_windows() == 1
