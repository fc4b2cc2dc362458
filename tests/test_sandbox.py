"""What the sandbox promises to those who build on it."""

import os
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import get_args

import httpx
import pytest

from sandbox.demo.live import Ticker, settings_from
from sandbox.model import bank
from sandbox.model.levels import MIDDLE
from sandbox.model.pace import HISTORY, LIVE
from sandbox.model.population import CODES
from sandbox.model.records import PAID, BankScenario, Payment
from sandbox.model.switches import FaultKind, Switches
from sandbox.state.store import Store
from sandbox.world.world import World
from tests.stage import DAY, HOUR, NOON, Stage, error_of

pytestmark = pytest.mark.slow

MAIL = {
    "personalizations": [{"to": [{"email": "jo@example.com"}]}],
    "from": {"email": "team@example.com"},
    "subject": "Your payment",
    "content": [{"type": "text/plain", "value": "Please look."}],
}


@pytest.fixture
def stage() -> Stage:
    return Stage()


# Idempotency.


def test_it_charges_once_for_one_key_and_replays_the_answer_byte_for_byte(stage):
    payment_id = stage.failed("paid")

    first = stage.retry(payment_id, "retry:1")
    stage.later(HOUR)
    again = stage.retry(payment_id, "retry:1")

    assert first.json()["status"] == "paid"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == first.content
    assert stage.charged_by(payment_id)[1:] == [("retry", "paid")]
    assert stage.world.ledger.charges(payment_id)[1].idempotency_key == "retry:1"


def test_it_replays_a_refusal_even_when_it_would_no_longer_refuse(stage):
    stage.switches.retry_limit = 0
    payment_id = stage.failed("paid")

    refused = stage.retry(payment_id, "retry:1")
    stage.switches.retry_limit = 1

    assert error_of(refused) == (409, "retry_limit_reached")
    assert stage.retry(payment_id, "retry:1").content == refused.content
    assert stage.retry(payment_id, "retry:2").json()["status"] == "paid"


def test_it_refuses_a_key_used_for_another_request(stage):
    stage.retry(stage.failed("paid"), "retry:1")

    assert error_of(stage.retry(stage.failed("paid"), "retry:1")) == (
        400,
        "idempotency_key_mismatch",
    )


def test_it_keeps_the_keys_of_each_caller_apart(stage):
    payment_id = stage.failed("insufficient_funds", "paid")
    stage.retry(payment_id, "retry:1")

    stage.api = stage.client("apik_other")

    assert stage.retry(payment_id, "retry:1").json()["status"] == "paid"


def test_it_forgets_a_key_after_a_day(stage):
    stage.switches.whop_attempts_after_hours = ()
    payment_id = stage.failed("insufficient_funds", "paid")
    stage.retry(payment_id, "retry:1")

    stage.later(DAY - timedelta(seconds=1))
    assert stage.retry(payment_id, "retry:1").json()["status"] == "open"
    stage.later(timedelta(seconds=1))
    assert stage.retry(payment_id, "retry:1").json()["status"] == "paid"


def test_it_never_serves_a_key_whose_first_request_broke_off(stage):
    payment_id = stage.failed("insufficient_funds")
    stage.world.faults.add("payments.retry", "500_after")

    assert stage.retry(payment_id, "retry:1").status_code == 500

    in_progress = (409, "idempotency_request_in_progress")
    assert error_of(stage.retry(payment_id, "retry:1")) == in_progress
    stage.later(HOUR)
    assert error_of(stage.retry(payment_id, "retry:1")) == in_progress
    assert len(stage.charged_by(payment_id)) == 2


def test_it_ignores_keys_that_do_not_belong_to_a_post(stage):
    payment_id = stage.failed("paid")
    headers = {"idempotency-key": "k"}
    before = stage.api.get(f"/payments/{payment_id}", headers=headers).json()
    stage.retry(payment_id)
    after = stage.api.get(f"/payments/{payment_id}", headers=headers).json()

    assert (before["status"], after["status"]) == ("open", "paid")


# The door.


def test_it_allows_600_requests_a_minute_for_each_operation_and_credential(stage):
    payment_id = stage.failed()
    path = f"/payments/{payment_id}"
    for _ in range(600):
        assert stage.api.get(path).status_code == 200
    stage.now += timedelta(seconds=18)

    limited = stage.api.get(path)

    assert limited.status_code == 429
    assert limited.json()["error"]["message"] == "Try again in 42 seconds."
    assert stage.api.get("/payments").status_code == 200
    assert stage.client("apik_other").get(path).status_code == 200
    stage.now += timedelta(seconds=42)
    assert stage.api.get(path).status_code == 200


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("status=failed", "status"),
        ("first=0", "first"),
        ("after=garbage", "after"),
        ("created_after=yesterday", "created_after"),
        ("order=amount", "order"),
    ],
)
def test_it_names_the_parameter_it_cannot_use(stage, query, param):
    answer = stage.api.get(f"/payments?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_it_shows_the_recovery_link_on_retrieve_and_in_webhooks_but_never_in_lists(stage):
    payment_id = stage.world.fail_renewal(NOON, decline_code="authentication_required")

    (listed,) = stage.api.get("/payments").json()["data"]

    assert stage.shown(payment_id)["recovery_url"]
    assert listed["recovery_url"] is None
    assert stage.events == ["payment.failed", "payment.requires_action"]


# Faults.


def test_it_loses_a_request_before_the_charge(stage):
    payment_id = stage.failed("paid")
    stage.world.faults.add("payments.retry", "timeout_before")

    with pytest.raises(httpx.ReadTimeout):
        stage.retry(payment_id, "retry:1")

    assert len(stage.charged_by(payment_id)) == 1
    assert stage.retry(payment_id, "retry:1").json()["status"] == "paid"


def test_it_loses_an_answer_after_the_charge(stage):
    payment_id = stage.failed("paid")
    stage.world.faults.add("payments.retry", "timeout_after")

    with pytest.raises(httpx.ReadTimeout):
        stage.retry(payment_id, "retry:1")

    assert stage.charged_by(payment_id)[1:] == [("retry", "paid")]
    assert stage.retry(payment_id, "retry:1").headers["idempotent-replayed"] == "true"


def test_it_refuses_connections(stage):
    stage.world.faults.add("*", "refused")

    with pytest.raises(httpx.ConnectError):
        stage.api.get("/payments")


def test_it_answers_late_and_too_late(stage):
    stage.world.faults.add("payments.list", "latency", seconds=2.5)
    stage.world.faults.add("payments.list", "latency", seconds=31)

    assert stage.api.get("/payments").status_code == 200
    with pytest.raises(httpx.ReadTimeout):
        stage.api.get("/payments", timeout=30)

    assert stage.waits == [2.5]


def test_it_counts_faults_down(stage):
    stage.world.faults.add("payments.list", "status", status=503, times=2)

    answers = [stage.api.get("/payments").status_code for _ in range(3)]

    assert answers == [503, 503, 200]


def test_it_tells_how_long_to_wait_in_a_429_fault(stage):
    stage.world.faults.add("payments.list", "status", status=429, seconds=12)

    answer = stage.api.get("/payments").json()

    assert answer["error"]["message"] == "Try again in 12 seconds."


@pytest.mark.parametrize(
    ("kind", "times_seen"), [("drop", 0), ("duplicate", 2), ("delay", 1), (None, 1)]
)
def test_it_drops_doubles_and_delays_webhooks(stage, kind, times_seen):
    if kind:
        stage.world.faults.add("webhook:payment.failed", kind, seconds=90)

    stage.failed()
    at_once = list(stage.delivered)
    stage.later(timedelta(minutes=2))

    assert len(stage.delivered) == times_seen
    assert len({webhook_id for _, webhook_id, _ in stage.delivered}) == min(1, times_seen)
    assert (at_once == stage.delivered) == (kind != "delay")


# Switches.


def test_it_retries_as_often_as_the_switch_allows(stage):
    stage.switches.retry_limit = 1
    payment_id = stage.failed("insufficient_funds", "paid")

    stage.retry(payment_id)
    refused = stage.retry(payment_id)

    assert error_of(refused) == (409, "retry_limit_reached")
    assert "re-tried the maximum number of times" in refused.json()["error"]["message"]
    assert stage.shown(payment_id)["retryable"] is False
    stage.switches.retryable_shows_limit = False
    assert stage.shown(payment_id)["retryable"] is True


def test_it_can_allow_more_retries_once_whop_has_tried(stage):
    stage.switches.retry_limit = 1
    stage.switches.retry_rearmed_by_whop_attempt = True
    payment_id = stage.failed("insufficient_funds", "insufficient_funds", "paid")
    stage.retry(payment_id)
    stage.later(DAY)

    assert stage.retry(payment_id).json()["status"] == "paid"


@pytest.mark.parametrize("rearmed", [True, False])
def test_it_can_allow_more_retries_once_the_card_has_changed(stage, rearmed):
    stage.switches.retry_limit = 1
    stage.switches.retry_rearmed_by_card_change = rearmed
    stage.switches.card_change_charges = False
    payment_id = stage.failed("insufficient_funds", "paid")
    stage.retry(payment_id)
    card_before = stage.shown(payment_id)["payment_method_id"]

    stage.world.change_card(payment_id, stage.now)

    assert stage.shown(payment_id)["payment_method_id"] != card_before
    assert stage.retry(payment_id).status_code == (200 if rearmed else 409)


def test_a_bank_sends_the_same_card_with_a_later_date(stage):
    payment_id = stage.failed("expired_card")
    before = stage.shown(payment_id)["payment_instrument"]["card"]

    stage.world.renew_card(payment_id, stage.now)

    after = stage.shown(payment_id)["payment_instrument"]["card"]
    assert after == before | {"exp_year": after["exp_year"]}
    assert after["exp_year"] > before["exp_year"]


@pytest.mark.parametrize("uses_new_card", [True, False])
def test_it_can_keep_charging_the_old_card(stage, uses_new_card):
    stage.switches.card_change_charges = False
    stage.switches.retry_uses_new_card = uses_new_card
    payment_id = stage.world.fail_renewal(NOON, decline_code="expired_card")

    stage.world.change_card(payment_id, stage.now)

    assert stage.retry(payment_id).json()["status"] == ("paid" if uses_new_card else "open")


def test_it_can_charge_as_soon_as_the_card_has_changed(stage):
    payment_id = stage.world.fail_renewal(NOON, decline_code="expired_card")

    stage.world.change_card(payment_id, stage.now)

    assert stage.charged_by(payment_id) == [("whop", "expired_card"), ("member", "paid")]


def test_it_can_answer_a_retry_before_charging(stage):
    stage.switches.retry_answers = "async"
    payment_id = stage.failed("paid")
    before = stage.shown(payment_id)

    answer = stage.retry(payment_id, "retry:1").json()

    assert answer == before
    assert len(stage.charged_by(payment_id)) == 1
    assert stage.api.get(f"/payments/{payment_id}/status").json()["status"] == "processing"
    assert error_of(stage.retry(payment_id, "retry:2")) == (409, "payment_in_progress")
    assert not stage.world.member_pays(payment_id, stage.now)
    stage.later(timedelta(seconds=5))
    assert stage.shown(payment_id)["status"] == "paid"
    assert stage.charged_by(payment_id)[1:] == [("retry", "paid")]


@pytest.mark.parametrize(("moves", "hours"), [(False, 24), (True, 34)])
def test_it_can_move_whops_next_attempt_after_a_retry(stage, moves, hours):
    stage.switches.retry_moves_next_attempt = moves
    payment_id = stage.failed()
    stage.later(10 * HOUR)
    stage.retry(payment_id)

    assert stage.shown(payment_id)["next_payment_attempt_at"] == (
        (NOON + hours * HOUR).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def test_it_can_announce_only_the_first_failure(stage):
    stage.switches.failed_webhook_for = "first_only"
    payment_id = stage.failed()
    stage.retry(payment_id)
    stage.later(2 * DAY)

    assert stage.events == ["payment.failed"]


@pytest.mark.parametrize(
    ("timing", "seen"), [("before_answer", ["payment.succeeded"]), ("after_answer", [])]
)
def test_it_can_announce_a_charge_before_it_answers(stage, timing, seen):
    payment_id = stage.failed("paid")
    stage.delivered.clear()
    stage.switches.webhook_timing = timing

    stage.retry(payment_id)

    assert stage.events == seen


@pytest.mark.parametrize("lapsed", ["open", "uncollectible", "void"])
def test_it_ends_the_membership_after_five_days(stage, lapsed):
    stage.switches.lapsed_payment = lapsed
    payment_id = stage.failed()
    stage.later(5 * DAY)

    shown = stage.shown(payment_id)
    assert (shown["status"], shown["retryable"]) == (lapsed, False)
    assert shown["next_payment_attempt_at"] is None
    assert stage.retry(payment_id).status_code == 409
    assert stage.events[-1] == "membership.deactivated"
    assert ("payment.canceled" in stage.events) == (lapsed == "void")


def test_it_can_leave_the_membership_past_due_for_ever(stage):
    stage.switches.whop_cancels_after_days = None
    payment_id = stage.failed()
    stage.later(40 * DAY)

    assert stage.shown(payment_id)["retryable"] is True


def test_it_cuts_pages_at_the_switch(stage):
    stage.switches.max_page = 2
    for _ in range(3):
        stage.failed()

    answer = stage.api.get("/payments?first=500").json()

    assert len(answer["data"]) == 2
    assert answer["page_info"]["has_next_page"]


def test_it_lists_nothing_rather_than_refuse_without_the_permission(stage):
    payment_id = stage.failed()
    stage.switches.denied_permissions = ("payment:basic:read", "payment:manage")

    assert stage.api.get("/payments").json()["data"] == []
    assert stage.retry(payment_id).status_code == 403


# The world.


def test_it_has_whop_try_again_four_times_and_then_give_up(stage):
    payment_id = stage.failed()
    stage.later(10 * DAY)

    charges = stage.world.ledger.charges(payment_id)
    assert [charge.at - NOON for charge in charges] == [number * DAY for number in range(5)]
    assert stage.events == ["payment.failed"] * 5 + ["membership.deactivated"]
    assert stage.world.next_due() is None


def test_it_does_everything_in_time_order_at_its_own_time(stage):
    first = stage.failed()
    stage.now += HOUR
    second = stage.failed("paid")
    stage.world.advance(NOON + 30 * DAY)

    ledger = stage.world.ledger.charges()
    sent = [at for at, _, _ in stage.delivered]
    assert [charge.at for charge in ledger] == sorted(charge.at for charge in ledger)
    assert sent == sorted(sent)
    assert stage.world.ledger.charges(second)[1].at == NOON + DAY + HOUR
    assert stage.world.store.membership(
        stage.world.store.payment(first).membership_id
    ).canceled_at == (NOON + 5 * DAY)


def test_it_delivers_each_webhook_before_the_next_thing_happens(stage):
    charges_seen = []

    def deliver(headers: dict[str, str], body: bytes) -> int:
        charges_seen.append(len(stage.world.ledger.charges()))
        return 200

    stage.world.deliver = deliver
    stage.failed("insufficient_funds", "paid")
    stage.world.advance(NOON + 30 * DAY)

    assert charges_seen == [1, 2, 3]


def test_it_does_not_touch_what_is_due_later(stage):
    payment_id = stage.failed("paid")
    stage.later(DAY - timedelta(seconds=1))

    assert stage.world.next_due() == NOON + DAY
    assert len(stage.charged_by(payment_id)) == 1


def test_it_has_members_pay_on_their_own(stage):
    payment_id = stage.world.fail_renewal(
        NOON, script=["expired_card"], member_pays_after_hours=3.0
    )
    stage.later(3 * HOUR)

    assert stage.charged_by(payment_id) == [("whop", "expired_card"), ("member", "paid")]
    assert stage.events == ["payment.failed", "payment.succeeded"]
    stage.later(20 * DAY)
    assert len(stage.charged_by(payment_id)) == 2


def test_it_never_charges_what_is_clearing(stage):
    payment_id = stage.failed("pending:bank_insufficient_funds", "paid")
    stage.retry(payment_id)

    assert error_of(stage.retry(payment_id)) == (409, "payment_pending")
    assert not stage.world.member_pays(payment_id, stage.now)
    stage.later(2 * DAY)
    shown = stage.shown(payment_id)
    assert (shown["status"], shown["decline_code"]) == ("open", "bank_insufficient_funds")
    assert stage.charged_by(payment_id)[1:] == [("retry", "bank_insufficient_funds")]


def test_it_has_whop_pass_over_what_is_being_charged(stage):
    stage.switches.retry_answers = "async"
    payment_id = stage.failed()
    stage.later(DAY - timedelta(seconds=2))
    stage.retry(payment_id)
    stage.later(DAY)

    charges = stage.world.ledger.charges(payment_id)
    assert [charge.by for charge in charges] == ["whop", "retry"]
    assert stage.world.next_due() == NOON + 2 * DAY


def test_it_never_gives_back_more_than_was_paid(stage):
    payment_id = stage.failed("paid")
    stage.retry(payment_id)
    amount = stage.world.store.payment(payment_id).amount

    for part in (amount - 1, amount, amount):
        stage.world.refund(payment_id, stage.now, part)
    stage.later(DAY)

    refunds = stage.api.get(f"/refunds?payment_id={payment_id}").json()["data"]
    assert sorted(Decimal(refund["amount"]["amount"]) for refund in refunds) == [1, amount - 1]
    assert stage.world.store.payment(payment_id).refunded_amount == amount
    assert stage.shown(payment_id)["substatus"] == "refunded"


def test_it_does_not_cancel_while_a_payment_clears(stage):
    payment_id = stage.failed("insufficient_funds")
    stage.later(4 * DAY + 20 * HOUR)
    clearing = stage.world.store.payment(payment_id)
    stage.world.store.save_payment(
        type(clearing)(**{**vars(clearing), "script": ("insufficient_funds", "pending")})
    )
    stage.retry(payment_id)
    stage.later(3 * DAY)

    assert stage.shown(payment_id)["status"] == "paid"
    assert "membership.deactivated" not in stage.events


def test_it_never_takes_money_twice_whoever_tries(stage):
    random = Random(11)
    ids = []
    world = stage.world
    acts = [world.member_pays, world.refund, world.change_card, world.cancel_at_period_end]
    for _ in range(150):
        ids.append(stage.world.fail_renewal(stage.now, spare_cards=1))
        stage.later(timedelta(hours=random.uniform(1, 6)))
        stage.switches.retry_answers = random.choice(["sync", "async"])
        stage.switches.card_update_answers = random.choice(["sync", "async"])
        for payment_id in random.sample(ids, min(4, len(ids))):
            stage.retry(payment_id, f"{payment_id}:{random.randint(1, 3)}")
            random.choice(acts)(random.choice(ids), stage.now)
            if random.random() < 0.3:
                stage.set_card(payment_id, random.choice(stage.cards_of(payment_id))["id"])
    stage.later(30 * DAY)

    outcomes = Counter(charge.outcome for charge in stage.world.ledger.charges())
    assert outcomes[PAID] > 40
    assert {charge.by for charge in world.ledger.charges()} == {"whop", "retry", "member", "backup"}
    assert stage.world.ledger.paid_twice() == []
    paid = [stage.world.store.payment(payment_id) for payment_id in ids]
    paid = [payment for payment in paid if payment.status == "paid"]
    assert stage.world.ledger.paid_total() == sum(payment.usd_amount for payment in paid)
    assert {one: net.amount for one, net in world.ledger.net_paid().items()} == {
        payment.id: payment.amount - payment.refund_asked for payment in paid
    }


def test_it_adds_up_what_each_payment_brought_after_refunds(stage):
    whole = stage.world.renew(NOON, amount=Decimal("20.00"), currency="eur")
    part = stage.world.renew(NOON, amount=Decimal("20.00"), currency="eur")
    all_back = stage.failed("paid", amount=Decimal("49.99"), currency="gbp")
    stage.retry(all_back)
    stage.failed()
    stage.world.refund(part, NOON, Decimal("5.50"))
    stage.world.refund(all_back, NOON, Decimal("20.01"))
    stage.world.refund(all_back, NOON, Decimal("29.98"))

    on_their_way = stage.world.ledger.net_paid()
    stage.later(2 * DAY)

    assert stage.world.ledger.net_paid() == on_their_way
    assert {one: (net.amount, net.currency) for one, net in on_their_way.items()} == {
        whole: (Decimal("20.00"), "eur"),
        part: (Decimal("14.50"), "eur"),
        all_back: (Decimal("0.00"), "gbp"),
    }
    assert [net.usd_amount for net in on_their_way.values()] == [
        Decimal("21.60"),
        Decimal("15.66"),
        Decimal("0.00"),
    ]


def test_it_would_show_money_taken_twice(stage):
    payment_id = stage.failed(spare_pays=True)
    stage.set_card(payment_id, stage.spare_of(payment_id))
    paid = stage.world.store.payment(payment_id)
    stage.world.store.save_payment(replace(paid, status="open"))

    stage.world.member_pays(payment_id, stage.now)

    assert stage.world.ledger.paid_twice() == [payment_id]
    assert stage.world.ledger.net_paid()[payment_id].amount == 2 * paid.amount


def test_it_charges_once_when_many_try_at_the_same_moment(stage):
    payment_id = stage.failed("paid")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: stage.retry(payment_id, f"retry:{n}"), range(64)))

    assert stage.charged_by(payment_id)[1:] == [("retry", "paid")]
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 63}


def test_it_charges_once_when_many_try_with_one_key_at_the_same_moment(stage):
    """Who asks while the first is still served is told so; who asks later gets its answer."""
    payment_id = stage.failed("paid")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: stage.retry(payment_id, "retry"), range(64)))
    late = stage.retry(payment_id, "retry")

    assert stage.charged_by(payment_id)[1:] == [("retry", "paid")]
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [answer.headers.get("idempotent-replayed") for answer in served].count(None) == 1
    assert {answer.content for answer in served} == {late.content}
    assert late.headers["idempotent-replayed"] == "true"
    assert {error_of(answer) for answer in refused} <= {(409, "idempotency_request_in_progress")}


def test_it_announces_every_charge(stage):
    for number in range(40):
        stage.world.fail_renewal(NOON + number * HOUR)
    stage.later(30 * DAY)

    announced = Counter(stage.events)
    outcomes = Counter(charge.outcome == PAID for charge in stage.world.ledger.charges())
    assert announced["payment.succeeded"] == outcomes[True]
    assert announced["payment.failed"] == outcomes[False]


def test_it_tells_the_same_story_for_the_same_seed():
    def story(seed: int) -> list[object]:
        world = World(seed=seed)
        for number in range(20):
            world.fail_renewal(NOON + number * HOUR)
        world.advance(NOON + 30 * DAY)
        return [*world.ledger.charges()]

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_it_takes_only_times_with_a_zone(stage):
    with pytest.raises(ValueError, match="without a zone"):
        stage.world.fail_renewal(datetime(2026, 11, 20))  # noqa: DTZ001


def test_it_begins_a_failing_renewal_with_a_decline(stage):
    with pytest.raises(ValueError, match="begins with a decline code"):
        stage.world.fail_renewal(NOON, script=["paid"])

    assert stage.world.ledger.charges() == []


# Webhooks.


def test_it_delivers_again_after_10_20_and_40_seconds_and_then_stops(stage):
    stage.receiver_says = 503
    stage.failed()
    stage.later(DAY - HOUR)

    waited = [(at - NOON).total_seconds() for at, _, _ in stage.delivered]
    assert waited == [0, 10, 30, 70]
    assert len({webhook_id for _, webhook_id, _ in stage.delivered}) == 1


def test_it_stops_delivering_once_accepted(stage):
    stage.receiver_says = 500
    stage.failed()
    stage.receiver_says = 204
    stage.later(HOUR)

    assert len(stage.delivered) == 2


# Memory.


def test_it_goes_on_where_it_stopped(tmp_path):
    before = Stage(tmp_path / "sandbox.sqlite")
    before.receiver_says = 503
    open_id = before.failed("insufficient_funds", "paid")
    paid_id = before.failed("paid")
    answer = before.retry(paid_id, "retry:1")
    before.mail.post("/v3/mail/send", json=MAIL)
    before.world.store.close()

    after = Stage(tmp_path / "sandbox.sqlite")

    assert after.shown(paid_id)["status"] == "paid"
    assert after.retry(paid_id, "retry:1").content == answer.content
    assert after.charged_by(paid_id) == [("whop", "insufficient_funds"), ("retry", "paid")]
    after.later(2 * DAY)
    assert "payment.succeeded" in after.events
    assert after.shown(open_id)["status"] == "paid"
    assert after.failed() not in (open_id, paid_id)
    after.world.store.close()


def test_it_keeps_nothing_of_a_deed_that_breaks_off(stage):
    payment_id = stage.failed("paid")

    def broken_off() -> None:
        with stage.world.store.transaction():
            stage.world.retry(payment_id, stage.now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()

    assert stage.shown(payment_id)["status"] == "open"
    assert len(stage.charged_by(payment_id)) == 1


# The live demo.


def failures_of(ticker: Ticker, world: World, minutes: int) -> list[int]:
    """How many renewals failed in each of the minutes."""
    counted, before = [], 0
    for minute in range(minutes):
        for second in range(60):
            ticker.tick(NOON + timedelta(minutes=minute, seconds=second))
        after = len(world.store.rows("select id from payments"))
        counted.append(after - before)
        before = after
    return counted


def test_it_keeps_renewals_failing_for_a_while_and_then_calms_down():
    world = World(pace=LIVE)

    failures = failures_of(Ticker(world, 5.0, NOON), world, 60)

    assert 4 <= sum(failures[:30]) / 30 <= 6.5
    assert sum(failures[30:]) <= 25


def test_it_leaves_renewals_alone_when_told_to():
    world = World(pace=LIVE)

    assert failures_of(Ticker(world, 0.0, NOON), world, 2) == [0, 0]


def test_it_reads_its_settings_from_the_environment():
    given = {"SANDBOX_PORT": "9100", "SANDBOX_SEED": "3", "WHOP_COMPANY_ID": ""}

    settings = settings_from(given)

    assert (settings.port, settings.seed, settings.company_id) == (9100, 3, "biz_demo")


def test_it_starts_as_a_command_and_stops_cleanly_on_sigterm(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"SANDBOX_PORT": str(port), "SANDBOX_FILE": str(tmp_path / "s.sqlite")}
    command = subprocess.Popen([sys.executable, "-m", "sandbox"], env={**os.environ, **given})
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=6)) as client:
            page = client.get(f"http://127.0.0.1:{port}/")
    finally:
        command.terminate()
    stopped_with = command.wait(timeout=5)

    assert "stand-in" in page.text
    assert stopped_with == 0


def test_it_explains_every_switch_and_fault():
    page = (Path(__file__).parent.parent / "docs" / "developers" / "sandbox.md").read_text()

    explained = [f.name for f in fields(Switches)] + list(get_args(FaultKind))
    assert [name for name in explained if f"`{name}`" not in page] == []


# Banks.


def test_it_funds_an_account_after_a_payday_and_not_for_ever():
    friday = datetime(2026, 11, 27, 6, tzinfo=UTC)
    story = BankScenario(starts_at=NOON, luck=1, pay_frequency="weekly", funded_hours=24)

    def outcome(at: datetime) -> str:
        return bank.decide(story, "insufficient_funds", at, 2, HISTORY)

    assert outcome(friday - HOUR) == "insufficient_funds"
    assert outcome(friday + 3 * HOUR) == PAID
    assert outcome(friday + 2 * DAY) == "insufficient_funds"


@pytest.mark.parametrize("cause", ["expired", "invalid", "lost_or_fraud", "authentication"])
def test_it_never_clears_a_card_only_the_member_can_replace(cause):
    random = Random(3)
    for code in CODES[cause]:
        for _ in range(50):
            story = bank.draw_scenario(random, MIDDLE, code, NOON)
            # Some banks give another code the next time, but none pays.
            assert bank.decide(story, code, NOON + 30 * DAY, 2, HISTORY) != PAID


def test_it_recovers_a_fair_share_of_the_demos_retries():
    world = World(pace=LIVE, seed=5)
    random = Random(5)
    outcomes: Counter[str] = Counter()
    for number in range(600):
        at = NOON + number * timedelta(minutes=37)
        payment_id = world.fail_renewal(at)
        payment = world.retry(payment_id, at + timedelta(minutes=random.uniform(1, 3)))
        assert isinstance(payment, Payment)
        outcomes[payment.status] += 1

    assert 0.28 < outcomes["paid"] / 600 < 0.45


# Mail.


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"personalizations": []}, "personalizations"),
        ({"personalizations": [{"to": []}]}, "personalizations.0.to"),
        ({"from": {"name": "Team"}}, "from.email"),
        ({"subject": ""}, "subject"),
        ({"content": []}, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
    ],
)
def test_it_refuses_a_mail_as_sendgrid_does(stage, change, wrong):
    answer = stage.mail.post("/v3/mail/send", json=MAIL | change)

    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["field"] == wrong
    assert error.keys() == {"message", "field", "help"}


def test_it_refuses_a_mail_without_the_key(stage):
    assert stage.client("SG.wrong", "https://mail.test").post(
        "/v3/mail/send", json=MAIL
    ).status_code == (401)


def test_it_keeps_a_mail_whose_answer_was_lost(stage):
    stage.world.faults.add("mail.send", "timeout_after")
    with pytest.raises(httpx.ReadTimeout):
        stage.mail.post("/v3/mail/send", json=MAIL)
    stage.world.faults.add("mail.send", "status", status=500)
    assert stage.mail.post("/v3/mail/send", json=MAIL).status_code == 500

    accepted = stage.mail.post("/v3/mail/send", json=MAIL)

    assert accepted.status_code == 202
    assert accepted.headers["x-message-id"]
    assert len(stage.world.store.rows("select id from mails")) == 2


def test_it_moves_some_members_to_pay_by_mail():
    def paid_by_members(mails: int) -> int:
        stage = Stage(switches=Switches(whop_attempts_after_hours=()))
        for _ in range(80):
            payment_id = stage.world.fail_renewal(stage.now, decline_code="expired_card")
            for _ in range(mails):
                stage.mail.post(
                    "/v3/mail/send", json=MAIL | {"custom_args": {"payment_id": payment_id}}
                )
        stage.later(5 * DAY)
        return sum(charge.by == "member" for charge in stage.world.ledger.charges())

    assert paid_by_members(mails=2) > paid_by_members(mails=0)


def test_it_reads_a_file_written_before_a_field_had_its_name(tmp_path: Path):
    path = tmp_path / "sandbox.sqlite"
    world = World(Store(path))
    payment_id = world.fail_renewal(NOON, script=["insufficient_funds", "paid"])
    world.store.rows(
        """update payments set document = replace(document, '"scenario":', '"story":')"""
    )
    assert '"story":' in world.store.document("payments", payment_id)
    world.store.close()
    reopened = World(Store(path))
    reopened.retry(payment_id, NOON + HOUR)
    assert [charge.outcome for charge in reopened.ledger.charges(payment_id)] == [
        "insufficient_funds",
        "paid",
    ]
    assert '"scenario":' in reopened.store.document("payments", payment_id)
    reopened.store.close()
