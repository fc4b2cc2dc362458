"""What a creator asks for about one payment."""

from __future__ import annotations

import pytest

from db.ledger import requests
from db.models import Request
from recovery.status import ClosedReason, PaymentStatus, RequestKind, Trigger
from tests.factories import COMPANY
from tests.rig import Rig


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    return rig


def ask(rig: Rig, payment_id: str, kind: RequestKind, company_id: str = COMPANY) -> int:
    with rig.sessions.begin() as session:
        asked = requests.ask(session, payment_id, kind, "someone", rig.clock.now, company_id)
        session.flush()
        return asked.id


def answer(rig: Rig, request_id: int) -> str | None:
    with rig.sessions() as session:
        return session.get_one(Request, request_id).answer


def test_a_hastened_payment_is_charged_with_the_next_minute(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    request_id = ask(rig, payment_id, RequestKind.RETRY_NOW)
    rig.cycle.fulfil_requests()
    assert answer(rig, request_id) == requests.DONE
    assert rig.charges(payment_id) == ["paid"]
    assert [attempt.trigger for attempt in rig.attempts(payment_id)] == [Trigger.CREATOR]
    assert rig.payment(payment_id).status is PaymentStatus.RECOVERED


def test_hastening_one_payment_charges_no_other(rig: Rig):
    retry_now, other = (
        rig.fail("insufficient_funds", "paid"),
        rig.fail("insufficient_funds", "paid"),
    )
    rig.pass_time(1)
    ask(rig, retry_now, RequestKind.RETRY_NOW)
    rig.cycle.fulfil_requests()
    assert (rig.charges(retry_now), rig.charges(other)) == (["paid"], [])


def test_a_declined_hastened_retry_goes_back_to_the_schedule(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "insufficient_funds", "paid")
    ask(rig, payment_id, RequestKind.RETRY_NOW)
    rig.cycle.fulfil_requests()
    assert rig.payment(payment_id).retry_count == 1
    rig.run(hours=2)
    triggers = [attempt.trigger for attempt in rig.attempts(payment_id)]
    assert triggers == [Trigger.CREATOR, Trigger.SCHEDULE]


def test_a_stopped_payment_is_charged_no_more(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    request_id = ask(rig, payment_id, RequestKind.STOP)
    rig.cycle.fulfil_requests()
    assert answer(rig, request_id) == requests.DONE
    rig.run(hours=5)
    payment = rig.payment(payment_id)
    assert payment.closed_reason is ClosedReason.STOPPED
    assert rig.charges(payment_id) == []


def test_a_stop_that_comes_while_whop_is_asked_is_in_time(rig: Rig, monkeypatch):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.pass_time(1)
    real = rig.cycle.retrier.whop.get_payment

    def stop_meanwhile(*arguments):
        ask(rig, payment_id, RequestKind.STOP)
        with rig.sessions.begin() as session:
            requests.fulfil_next(session, rig.clock.now, rig.rules)
        return real(*arguments)

    monkeypatch.setattr(rig.cycle.retrier.whop, "get_payment", stop_meanwhile)
    rig.cycle.retrier.retry_one()
    assert rig.charges(payment_id) == []
    assert rig.payment(payment_id).closed_reason is ClosedReason.STOPPED


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (("stolen_card", "paid"), "not possible, it must not be charged again"),
        (("blocked_by_cardholder", "paid"), "nothing to charge: stopped by the member"),
    ],
)
def test_what_is_forbidden_stays_forbidden_however_much_it_is_wanted(rig: Rig, script, said):
    payment_id = rig.fail(*script)
    request_id = ask(rig, payment_id, RequestKind.RETRY_NOW)
    rig.cycle.fulfil_requests()
    assert (answer(rig, request_id) or "").startswith(said)
    assert rig.charges(payment_id) == []


def test_a_payment_with_a_charge_in_hand_is_not_hastened(rig: Rig):
    payment_id = rig.fail("insufficient_funds", "paid")
    rig.world.faults.add("payments.retry", "timeout_before")
    rig.pass_time(1)
    rig.cycle.run()
    request_id = ask(rig, payment_id, RequestKind.RETRY_NOW)
    rig.cycle.fulfil_requests()
    assert answer(rig, request_id) == requests.CHARGE_RUNNING
    assert len(rig.attempts(payment_id)) == 1


def test_a_paid_payment_has_nothing_to_stop_or_to_charge(rig: Rig):
    payment_id = rig.fail()
    rig.world.member_pays(payment_id, rig.clock.now)
    asked = [ask(rig, payment_id, kind) for kind in (RequestKind.STOP, RequestKind.RETRY_NOW)]
    rig.cycle.fulfil_requests()
    assert [answer(rig, request_id) for request_id in asked] == [
        "nothing to stop: recovered",
        "nothing to charge: recovered",
    ]


def test_nobody_asks_about_another_companys_payment(rig: Rig):
    payment_id = rig.fail()
    with pytest.raises(requests.UnknownPaymentError):
        ask(rig, payment_id, RequestKind.STOP, company_id="biz_other")


def test_two_daemons_honour_a_request_once(rig: Rig):
    ask(rig, rig.fail(), RequestKind.STOP)
    with rig.sessions() as one, rig.sessions() as other:
        assert requests.fulfil_next(one, rig.clock.now, rig.rules) is not None
        assert requests.fulfil_next(other, rig.clock.now, rig.rules) is None
        one.commit()
        assert requests.fulfil_next(other, rig.clock.now, rig.rules) is None
