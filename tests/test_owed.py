"""Nothing is asked of anybody that no membership owes: no first purchase, no manual charge, no
charge of nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import select

from db.models import Payment
from db.session import SessionFactory
from recovery.declines import DeclineClass
from recovery.retrying.context import RetryContext, RetryRules
from recovery.retrying.decisions import NoRetry, NoRetryReason, decide
from sandbox.servers.sendgrid import SendGrid
from tests.factories import COMPANY, HOUR, NOW, event, money, payment_data
from tests.rig import Rig
from whop.payloads import read_event
from whop.values import PayloadError

RENEWALS = ("subscription_cycle", "subscription_update", "subscription", "a_reason_of_tomorrow")
OTHERS = ("subscription_create", "one_time", "manual")


def starts_dunning(**data: object) -> bool:
    heard = read_event(event(data=payment_data(**data)), NOW)
    assert heard.payment is not None
    return heard.payment.starts_dunning


@pytest.mark.parametrize("reason", RENEWALS)
@pytest.mark.parametrize("membership_id", ["mem_1", None])
def test_a_renewal_is_owed_also_where_its_membership_is_not_told(reason, membership_id):
    assert starts_dunning(billing_reason=reason, membership_id=membership_id)


@pytest.mark.parametrize("reason", OTHERS)
@pytest.mark.parametrize("membership_id", ["mem_1", None])
def test_what_is_bought_or_charged_by_hand_is_not_dunned(reason, membership_id):
    assert not starts_dunning(billing_reason=reason, membership_id=membership_id)


@pytest.mark.parametrize(("membership_id", "owed"), [("mem_1", True), (None, False)])
def test_without_a_reason_the_membership_decides(membership_id, owed):
    assert starts_dunning(billing_reason=None, membership_id=membership_id) is owed


@pytest.mark.parametrize("total", ["0", "0.00", 0])
def test_nothing_is_not_dunned(total):
    assert not starts_dunning(total={**money("0.00"), "amount": total})
    flat = {"payment_id": "p", "member_id": "m", "amount": total, "company_id": COMPANY}
    heard = read_event(flat, NOW).payment
    assert heard is not None
    assert not heard.starts_dunning


@pytest.mark.parametrize("total", ["-49.00", "49,00", "NaN", -1, None, "Infinity"])
def test_what_is_no_amount_is_refused_by_its_name(total):
    with pytest.raises(PayloadError, match=r"total|subtotal"):
        starts_dunning(total={**money("0.00"), "amount": total})


def test_a_charge_of_nothing_is_neither_listed_nor_charged_nor_written_about(
    sessions: SessionFactory, tmp_path
):
    rig = Rig(sessions, tmp_path)
    rig.fail("expired_card", amount=Decimal(0))
    manual = rig.fail("insufficient_funds", "paid", billing_reason="manual")
    rig.reconciler.run()
    rig.run(3)
    rig.message_sender.send_due()
    with sessions() as session:
        assert session.scalars(select(Payment)).all() == []
    assert rig.charges(manual) == []
    assert SendGrid(rig.world).mails() == []


@pytest.mark.parametrize("policy", ["smart", "hourly"])
def test_what_is_no_longer_owed_is_not_charged(policy):
    context = RetryContext(DeclineClass.FUNDS, 0, True, NOW, NOW, NOW + 120 * HOUR, owed=False)
    assert decide(context, RetryRules(policy=policy), NOW) == NoRetry(NoRetryReason.NOTHING_OWED)
