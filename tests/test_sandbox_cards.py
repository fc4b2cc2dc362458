"""Saved cards in the sandbox: who has them, and what charging another one does."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from sandbox.model.people import SPARE_CARD_SHARE
from sandbox.world.world import World
from tests.stage import DAY, HOUR, NOON, Stage, error_of

pytestmark = pytest.mark.slow


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_it_lists_the_cards_a_member_has_saved(stage):
    payment_id = stage.failed(spare_cards=2, spare_pays=True)
    stage.failed(spare_cards=1)

    cards = stage.cards_of(payment_id)

    assert len(cards) == 3
    assert stage.shown(payment_id)["payment_method_id"] in [card["id"] for card in cards]
    assert [card["card"]["expired"] for card in cards] == [False] * 3


def test_it_lists_no_cards_for_nobody_and_no_cards_without_the_permission(stage):
    payment_id = stage.failed(spare_cards=1)

    assert stage.api.get("/payment_methods").json()["data"] == []
    assert stage.api.get("/payment_methods?member_id=mber_unknown").json()["data"] == []
    stage.switches.denied_permissions = ("member:payment_methods:read",)
    assert stage.cards_of(payment_id) == []


def test_it_lists_the_cards_of_one_member_or_one_account_not_both(stage):
    stage.failed(spare_cards=1)
    stage.failed(account_id="biz_other")

    assert len(stage.api.get("/payment_methods?account_id=biz_other").json()["data"]) == 1
    refused = stage.api.get("/payment_methods?account_id=biz_other&member_id=mber_1")
    assert error_of(refused) == (400, "parameter_invalid")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("expired=true", ["spare"]),
        ("expired=false", ["used"]),
        ("broken=true", []),
        ("broken=false", ["spare", "used"]),
        ("payment_method_types=cashapp", []),
        ("payment_method_types=cashapp&payment_method_types=card", ["spare", "used"]),
        ("card_brands=jcb", []),
        ("card_brands=visa&card_brands=mastercard&card_brands=amex&card_brands=discover", None),
        ("created_after=2030-01-01T00:00:00Z", []),
    ],
)
def test_it_finds_cards_by_what_is_asked(stage, query, found):
    payment_id = stage.failed(spare_expired=True)
    spare = stage.spare_of(payment_id)

    cards = stage.cards_of(payment_id, query)

    names = sorted("spare" if card["id"] == spare else "used" for card in cards)
    assert names == (["spare", "used"] if found is None else found)


def test_it_refuses_a_filter_that_is_neither_true_nor_false(stage):
    answer = stage.api.get("/payment_methods?member_id=mber_1&expired=maybe")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "expired")


def test_it_gives_a_share_of_members_a_spare_card_and_the_same_story_to_all():
    def world(**wanted: Any) -> World:
        world = World(seed=9)
        for number in range(200):
            world.fail_renewal(NOON + number * HOUR, **wanted)
        world.advance(NOON + 20 * DAY)
        return world

    drawn, none = world(), world(spare_cards=0)

    cards = len(drawn.store.rows("select id from cards")) - len(
        none.store.rows("select 1 from cards")
    )
    assert 0.7 * SPARE_CARD_SHARE < cards / 200 < 1.3 * SPARE_CARD_SHARE
    assert drawn.ledger.charges() == none.ledger.charges()


def test_it_charges_what_is_unpaid_as_soon_as_it_is_given_another_card(stage):
    payment_id = stage.failed(spare_pays=True)
    spare = stage.spare_of(payment_id)
    stage.delivered.clear()

    answer = stage.set_card(payment_id, spare)

    assert answer.json()["status"] == "active"
    assert stage.charged_by(payment_id)[1:] == [("backup", "paid")]
    shown = stage.shown(payment_id)
    assert (shown["status"], shown["payment_method_id"]) == ("paid", spare)
    stage.later(HOUR)
    assert stage.events == ["membership.updated", "payment.succeeded"]


def test_it_charges_later_renewals_on_the_card_it_was_given(stage):
    payment_id = stage.failed(spare_pays=True)
    spare = stage.spare_of(payment_id)
    stage.set_card(payment_id, spare)

    next_id = stage.world.renew(stage.now + 30 * DAY, membership_id=stage.member_of(payment_id).id)

    assert stage.shown(next_id)["payment_method_id"] == spare


def test_it_leaves_a_payment_open_when_the_other_card_is_declined_too(stage):
    payment_id = stage.failed("paid", spare_script=["card_velocity_exceeded", "paid"])
    stage.set_card(payment_id, stage.spare_of(payment_id))

    shown = stage.shown(payment_id)

    assert (shown["status"], shown["decline_code"]) == ("open", "card_velocity_exceeded")
    assert shown["payments_failed"] == 2
    assert stage.retry(payment_id).json()["status"] == "paid"
    outcomes = [("backup", "card_velocity_exceeded"), ("retry", "paid")]
    assert stage.charged_by(payment_id)[1:] == outcomes


def test_it_can_go_back_to_the_first_card_after_the_other_was_declined(stage):
    stage.switches.retry_uses_new_card = False
    payment_id = stage.failed("insufficient_funds", "paid", spare_pays=False)
    first = stage.shown(payment_id)["payment_method_id"]

    stage.set_card(payment_id, stage.spare_of(payment_id))

    assert stage.shown(payment_id)["payment_method_id"] == first
    assert stage.retry(payment_id).json()["status"] == "paid"


@pytest.mark.parametrize("rearmed", [True, False])
def test_it_can_allow_more_retries_once_it_was_given_another_card(stage, rearmed):
    stage.switches.retry_limit = 1
    stage.switches.retry_rearmed_by_card_change = rearmed
    payment_id = stage.failed("insufficient_funds", spare_pays=False)
    stage.retry(payment_id)

    stage.set_card(payment_id, stage.spare_of(payment_id))

    assert stage.retry(payment_id).status_code == (200 if rearmed else 409)


def test_it_declines_an_expired_card(stage):
    payment_id = stage.failed(spare_expired=True)

    stage.set_card(payment_id, stage.spare_of(payment_id))

    assert stage.charged_by(payment_id)[1:] == [("backup", "expired_card")]


def test_it_pays_with_the_card_a_member_saved_because_of_the_failure(stage):
    stage.switches.card_change_charges = False
    stage.switches.retry_uses_new_card = False
    payment_id = stage.world.fail_renewal(NOON, decline_code="expired_card", spare_cards=0)
    stage.now += HOUR
    stage.world.change_card(payment_id, stage.now)

    stage.set_card(payment_id, stage.member_of(payment_id).card.method_id)

    assert stage.charged_by(payment_id)[1:] == [("backup", "paid")]


@pytest.mark.parametrize(
    ("which", "paid"), [("oldest", [0]), ("newest", [2]), ("every", [0, 1, 2])]
)
def test_it_can_charge_either_of_several_unpaid_renewals_or_all(stage, which, paid):
    stage.switches.card_update_charges = which
    stage.switches.whop_cancels_after_days = None
    ids = [stage.failed(spare_pays=True)]
    spare = stage.spare_of(ids[0])
    for _ in range(2):
        stage.now += HOUR
        ids.append(stage.failed(membership_id=stage.member_of(ids[0]).id))

    answer = stage.set_card(ids[0], spare)

    assert [number for number in range(3) if stage.shown(ids[number])["status"] == "paid"] == paid
    assert answer.json()["status"] == ("active" if len(paid) == 3 else "past_due")


def test_it_can_answer_before_it_charges_the_other_card(stage):
    stage.switches.card_update_answers = "async"
    payment_id = stage.failed(spare_pays=True)

    answer = stage.set_card(payment_id, stage.spare_of(payment_id)).json()

    assert answer["status"] == "past_due"
    assert error_of(stage.retry(payment_id)) == (409, "payment_in_progress")
    assert len(stage.charged_by(payment_id)) == 1
    stage.later(timedelta(seconds=5))
    assert stage.charged_by(payment_id)[1:] == [("backup", "paid")]


@pytest.mark.parametrize("standing", ["pending", "being charged"])
def test_it_never_charges_another_card_for_what_is_being_paid(stage, standing):
    payment_id = stage.failed("pending", spare_pays=True)
    stage.switches.retry_answers = "async" if standing == "being charged" else "sync"
    stage.retry(payment_id)

    stage.set_card(payment_id, stage.spare_of(payment_id))
    stage.later(3 * DAY)

    assert stage.charged_by(payment_id)[1:] == [("retry", "paid")]
    assert stage.world.ledger.paid_twice() == []


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize("whose", ["nobody's", "another member's"])
def test_it_refuses_a_card_the_member_has_not_saved(stage, status, whose):
    stage.switches.unknown_card_status = status
    payment_id = stage.failed(spare_pays=True)
    others = stage.spare_of(stage.failed(spare_pays=True))

    answer = stage.set_card(payment_id, "payt_unknown" if whose == "nobody's" else others)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, "payment_method_id")
    assert len(stage.charged_by(payment_id)) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "parameter_invalid"),
        (b"{}", "parameter_invalid"),
        (b'{"payment_method_id": 7}', "parameter_invalid"),
        (b'{"payment_method_id": "payt_1", "metadata": {}}', "parameter_invalid"),
    ],
)
def test_it_refuses_a_change_of_a_membership_it_does_not_know(stage, body, code):
    membership_id = stage.member_of(stage.failed()).id

    answer = stage.api.patch(f"/memberships/{membership_id}", content=body)

    assert error_of(answer) == (400, code)


def test_it_refuses_to_change_the_card_without_the_permission(stage):
    payment_id = stage.failed(spare_pays=True)
    spare = stage.spare_of(payment_id)
    stage.switches.denied_permissions = ("member:payment_methods:manage",)

    refused = stage.set_card(payment_id, spare)

    assert refused.status_code == 403
    assert "member:payment_methods:manage" in refused.json()["error"]["message"]
    assert stage.member_of(payment_id).card.method_id != spare


def test_it_charges_again_for_the_same_key_on_a_patch(stage):
    payment_id = stage.failed(spare_script=["generic_decline", "paid"])
    spare = stage.spare_of(payment_id)

    for _ in range(2):
        stage.set_card(payment_id, spare, **{"idempotency-key": "once"})

    assert stage.charged_by(payment_id)[1:] == [("backup", "generic_decline"), ("backup", "paid")]


def test_it_sets_the_card_and_charges_nothing_when_nothing_can_be_collected(stage):
    paid_id, ended_id = stage.failed("paid", spare_pays=True), stage.failed(spare_pays=True)
    stage.retry(paid_id)
    stage.world.cancel_membership(ended_id, stage.now)

    for payment_id in (paid_id, ended_id):
        spare = stage.spare_of(payment_id)
        assert stage.set_card(payment_id, spare).status_code == 200
        assert stage.member_of(payment_id).card.method_id == spare
    assert "backup" not in [charge.by for charge in stage.world.ledger.charges()]


@pytest.mark.parametrize(
    ("kind", "charges"), [("timeout_before", 1), ("timeout_after", 2), ("refused", 1)]
)
def test_it_loses_the_answer_to_a_change_of_card(stage, kind, charges):
    payment_id = stage.failed(spare_pays=True)
    spare = stage.spare_of(payment_id)
    stage.world.faults.add("memberships.update", kind)

    with pytest.raises(httpx.TransportError):
        stage.set_card(payment_id, spare)

    assert len(stage.charged_by(payment_id)) == charges


@pytest.mark.parametrize(("kind", "charges"), [("status", 1), ("500_after", 2), ("latency", 2)])
def test_it_answers_a_change_of_card_as_the_fault_says(stage, kind, charges):
    payment_id = stage.failed(spare_pays=True)
    spare = stage.spare_of(payment_id)
    stage.world.faults.add("memberships.update", kind, seconds=3, status=503)

    answer = stage.set_card(payment_id, spare)

    assert answer.status_code == {"status": 503, "500_after": 500, "latency": 200}[kind]
    assert stage.waits == ([3] if kind == "latency" else [])
    assert len(stage.charged_by(payment_id)) == charges
