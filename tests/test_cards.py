"""The card networks count attempts per card: Whop's and ours, for whatever payment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db.ledger import card_velocity, new_payments
from db.models import Payment
from recovery.retrying.policy import CARD_LIMITS, MOST_IN_A_DAY
from recovery.status import PaymentStatus
from tests.factories import HOURLY, NOW, add_payment, report
from tests.rig import Rig

VISA = {"brand": "visa", "last4": "4242", "exp_month": 4, "exp_year": 2027}


def on_card(**changes: Any) -> dict[str, Any]:
    return {"payment_instrument": {"card": VISA | changes}}


def test_tries_of_all_payments_on_a_card_are_counted_together(session):
    add_payment(session, payments_failed=3, **on_card())
    payment = add_payment(session, payments_failed=2, **on_card())
    assert card_velocity.count_charges(session, payment, payment.failed_at) == 5


@pytest.mark.parametrize("change", [{"last4": "1111"}, {"brand": "amex"}, {"exp_year": 2029}])
def test_another_card_is_another_count(session, change):
    add_payment(session, payments_failed=9, **on_card(**change))
    payment = add_payment(session, **on_card())
    assert card_velocity.count_charges(session, payment, payment.failed_at) == 1


def test_another_seller_is_another_count(session):
    theirs = replace(report(payments_failed=9, **on_card()), company_id="biz_other")
    new_payments.create_payments(session, [theirs], {}, NOW, HOURLY)
    payment = add_payment(session, **on_card())
    assert card_velocity.count_charges(session, payment, payment.failed_at) == 1


def test_our_declined_retries_count_where_whop_does_not_tell_its_own(session):
    payment = add_payment(session, payments_failed=None, **on_card())
    payment.retry_count = 2
    assert card_velocity.count_charges(session, payment, payment.failed_at) == 3


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    return rig


def wear_out(rig: Rig, payment_id: str, tries: int) -> None:
    with rig.sessions.begin() as session:
        session.execute(
            update(Payment).where(Payment.payment_id == payment_id).values(whop_failures=tries)
        )


def test_a_card_that_is_worn_out_is_not_charged_for_its_other_payment(rig: Rig):
    first = rig.fail("authentication_required")
    membership_id = rig.world.store.payment(first).membership_id
    second = rig.fail("insufficient_funds", "paid", membership_id=membership_id)
    brand = rig.payment(second).card_brand
    wear_out(rig, first, CARD_LIMITS.get(brand or "", min(CARD_LIMITS.values())))
    rig.run(hours=3)
    assert rig.charges(second) == []
    assert rig.payment(second).status is PaymentStatus.FAILED


def test_one_try_below_the_limit_is_allowed(rig: Rig):
    first = rig.fail("authentication_required")
    membership_id = rig.world.store.payment(first).membership_id
    second = rig.fail("insufficient_funds", "paid", membership_id=membership_id)
    brand = rig.payment(second).card_brand
    wear_out(rig, first, CARD_LIMITS.get(brand or "", min(CARD_LIMITS.values())) - 2)
    rig.run(hours=3)
    assert rig.charges(second) == ["paid"]


def test_a_card_tried_ten_times_in_a_day_rests(rig: Rig):
    rig.use(interval=timedelta(minutes=5), max_retries=15)
    first = rig.fail("insufficient_funds")
    membership_id = rig.world.store.payment(first).membership_id
    second = rig.fail("insufficient_funds", membership_id=membership_id)
    rig.world.switches.retry_limit = 99
    for _ in range(40):
        rig.pass_time(0.1)
        rig.cycle.run()
    assert 2 + len(rig.charges(first)) + len(rig.charges(second)) == MOST_IN_A_DAY
    rig.run(hours=26)
    assert 2 + len(rig.charges(first)) + len(rig.charges(second)) > MOST_IN_A_DAY
