"""What facts about memberships and members mean: every combination, in every order. Pure."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whop_sdk.types.dispute_status import DisputeStatus
from whop_sdk.types.dispute_statuses import DisputeStatuses
from whop_sdk.types.friendly_receipt_status import FriendlyReceiptStatus
from whop_sdk.types.membership_most_recent_action import MembershipMostRecentAction
from whop_sdk.types.membership_status import MembershipStatus

from recovery import standing
from recovery.declines import DeclineClass
from recovery.reports import find_memberships
from recovery.retrying.context import RetryContext, RetryRules
from recovery.retrying.decisions import NoRetry, NoRetryReason, decide
from recovery.retrying.policy import POLICIES
from recovery.retrying.transitions import choose_transition, decide_backup
from recovery.standing import (
    CLOSED_BY,
    COLLECTED,
    DisputeEffect,
    Hold,
    MembershipFacts,
    Renewal,
    Told,
    choose_newer,
    is_bought_anew,
    judge,
    judge_dispute,
)
from recovery.status import PaymentStatus
from tests.factories import COMPANY, NOW, event, iso, payment_data
from whop.memberships import read_dispute, read_membership
from whop.payloads import read_event

HOUR = timedelta(hours=1)
EFFECTS = {DisputeEffect.STOPS, DisputeEffect.HOLDS, DisputeEffect.LIFTED}
OWN = MembershipFacts("mem_1", "prod_1", NOW - 90 * 24 * HOUR)


def names(union: Any) -> list[str]:
    """The words that an enum of the official SDK knows."""
    return [word for one in get_args(union) for word in get_args(one)]


# --- the newest word ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strictest_last", [standing.RENEWALS, standing.PAUSES, standing.EFFECTS], ids=str
)
@given(st.data())
def test_in_whatever_order_words_are_heard_the_newest_stays(strictest_last, data):
    words = st.builds(
        Told,
        st.sampled_from(strictest_last),
        st.sampled_from([NOW + hours * HOUR for hours in range(3)]),
        st.just(NOW),
    )
    told = data.draw(st.lists(words, min_size=1, max_size=6))
    heard = data.draw(st.permutations(told + told[:2]))
    newest = reduce(lambda one, other: choose_newer(one, other, strictest_last), heard)
    last = max(one.observed_at for one in told)
    of_then = [one.word for one in told if one.observed_at == last]
    assert newest.word == max(of_then, key=strictest_last.index)
    assert newest.observed_at == last


# --- what they mean together -------------------------------------------------------------------


@pytest.mark.parametrize("renewal", [None, *Renewal])
@pytest.mark.parametrize("paused", [None, False, True])
@pytest.mark.parametrize("bought_anew", [False, True])
def test_whatever_forbids_is_heeded_beside_whatever_else_is_known(renewal, paused, bought_anew):
    own = replace(OWN, renewal=renewal, paused=paused)
    for number in range(len(EFFECTS) + 1):
        for effects in itertools.combinations(EFFECTS, number):
            found = judge(own, bought_anew=bought_anew, effects=set(effects))
            stops = DisputeEffect.STOPS in effects or bought_anew or renewal in CLOSED_BY
            holds = paused or DisputeEffect.HOLDS in effects
            assert (found.closed_reason is not None) is bool(stops)
            assert (found.hold is not None) is bool(holds and not stops)
            assert (found == COLLECTED) is not bool(stops or holds)


def test_nothing_known_forbids_nothing():
    assert judge(None, bought_anew=False, effects=()) == COLLECTED


@pytest.mark.parametrize("hold", Hold)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_payment_on_hold_is_charged_by_no_policy_and_with_no_card(hold, policy):
    for decline_class in DeclineClass:
        context = RetryContext(
            decline_class=decline_class,
            declined_retries=0,
            retryable=True,
            failed_at=NOW,
            last_charge_at=NOW,
            window_ends_at=NOW + 120 * HOUR,
            hold=hold,
        )
        rules = RetryRules(policy=policy)
        assert decide(context, rules, NOW + HOUR) == NoRetry(NoRetryReason[hold.name])
        assert decide_backup(context, NOW + HOUR) is None
        after = choose_transition(context, rules, NOW + HOUR).status
        assert after is not PaymentStatus.PENDING_RETRY


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({}, True),
        ({"started_at": NOW}, True),
        ({"started_at": NOW - HOUR}, False),
        ({"started_at": None}, False),
        ({"product_id": "prod_2"}, False),
        ({"product_id": None}, True),
        ({"renewal": Renewal.ENDED}, True),
    ],
)
def test_the_same_product_bought_since_the_failure_is_bought_anew(change, anew):
    other = replace(MembershipFacts("mem_2", "prod_1", NOW + HOUR), **change)
    assert is_bought_anew("prod_1", NOW, OWN, other) is anew
    assert is_bought_anew(None, NOW, OWN, other) is anew
    unknown = other.started_at is not None and other.started_at >= NOW
    assert is_bought_anew(None, NOW, None, other) is unknown


# --- disputes ----------------------------------------------------------------------------------

LIFTED, HELD, STOPPED = DisputeEffect.LIFTED, DisputeEffect.HOLDS, DisputeEffect.STOPS
MEANINGS = {
    "needs_response": STOPPED,
    "under_review": STOPPED,
    "lost": STOPPED,
    "prevented": STOPPED,
    "closed": STOPPED,
    "other": STOPPED,
    "won": LIFTED,
    "warning_needs_response": HELD,
    "warning_under_review": HELD,
    "warning_closed": LIFTED,
}


def test_every_status_that_the_official_sdk_knows_has_its_meaning():
    assert {*names(DisputeStatus), *names(DisputeStatuses)} == set(MEANINGS)
    assert {status: judge_dispute(status) for status in MEANINGS} == MEANINGS


@pytest.mark.parametrize("status", ["alert", "unknown", "new_word", "", "warning", "WON", "won "])
def test_a_word_that_we_do_not_know_stops(status):
    assert judge_dispute(status) is STOPPED


@pytest.mark.parametrize("status", ["warning_new_word", "warning_"])
def test_an_inquiry_of_which_we_know_no_more_holds(status):
    assert judge_dispute(status) is HELD


@pytest.mark.parametrize("substatus", names(FriendlyReceiptStatus))
def test_a_payments_own_substatus_tells_of_its_dispute(substatus):
    payment = read_event(event(data=payment_data(substatus=substatus)), NOW).payment
    assert payment is not None
    told = payment.dispute_status
    assert (told is not None) is ("dispute" in substatus)
    if told in MEANINGS:
        assert judge_dispute(told) is MEANINGS[told]
    elif told is not None:
        assert judge_dispute(told) is STOPPED


def test_an_alert_stops_until_its_dispute_is_won():
    alerted = payment_data(substatus="succeeded", dispute_alerted_at=iso(NOW))
    won = alerted | {"substatus": "dispute_won"}
    told = [read_event(event(data=data), NOW).payment for data in (alerted, won)]
    assert [judge_dispute(one.dispute_status or "") for one in told if one] == [STOPPED, LIFTED]


@pytest.mark.parametrize(
    ("data", "effect"),
    [
        ({"status": "needs_response", "inquiry": True}, HELD),
        ({"status": "new_word", "inquiry": True}, HELD),
        ({"status": "new_word", "inquiry": False}, STOPPED),
        ({"status": "lost", "inquiry": True}, STOPPED),
        ({"status": "prevented", "inquiry": True}, STOPPED),
        ({"status": "won", "inquiry": True}, LIFTED),
        ({"status": "warning_closed", "inquiry": True}, LIFTED),
        ({"status": None}, STOPPED),
        ({}, STOPPED),
    ],
)
def test_an_inquiry_is_told_apart_whatever_its_status_says(data, effect):
    dispute = read_dispute({"payment_id": "pay_1"} | data, NOW, COMPANY)
    assert dispute is not None
    assert judge_dispute(dispute.status) is effect


def test_a_buyer_who_is_named_by_a_memberships_id_is_found_by_it():
    buyer = {"member_id": "mem_1", "user_id": None}
    dispute = read_dispute({"payment": {"id": "pay_1"}, "buyer": buyer}, NOW, COMPANY)
    assert dispute is not None
    assert dispute.membership_id == "mem_1"


def test_an_alert_about_no_payment_of_ours_is_no_error():
    heard = read_event(event("dispute_alert.created", {"id": "dspa_1", "payment_id": None}), NOW)
    assert heard.dispute is None


# --- memberships -------------------------------------------------------------------------------

ENDS = {"canceled": Renewal.ENDED, "expired": Renewal.ENDED, "canceling": Renewal.CANCELED}
LEGACY = {
    "id": "mem_1",
    "member": {"id": "mber_1"},
    "user": {"id": "user_1"},
    "product": {"id": "prod_1", "title": "Pro"},
    "created_at": iso(NOW),
}
CURRENT = {
    "id": "mem_1",
    "member_id": "mber_1",
    "user_id": "user_1",
    "product_id": "prod_1",
    "created_at": iso(NOW),
}


@pytest.mark.parametrize("status", [*names(MembershipStatus), "new_word"])
@pytest.mark.parametrize("canceled", [False, True])
@pytest.mark.parametrize("paused", [False, True])
def test_both_shapes_of_a_membership_read_the_same(status, canceled, paused):
    told = {"status": status, "cancel_at_period_end": canceled}
    action = "paused_at" if paused else "renewing_on"
    old = LEGACY | told | {"payment_collection_paused": paused}
    new = CURRENT | told | {"most_recent_action": action, "most_recent_action_at": iso(NOW)}
    read = [read_membership(one, NOW, COMPANY) for one in (old, new)]
    assert read[0] == read[1]
    expected = ENDS.get(status, Renewal.CANCELED if canceled else Renewal.CONTINUES)
    assert (read[0].renewal, read[0].paused) == (expected, paused)
    assert (read[0].started_at is None) is (status == "drafted")


@pytest.mark.parametrize("action", [*names(MembershipMostRecentAction), None])
def test_only_a_pause_is_one(action):
    membership = read_membership(CURRENT | {"most_recent_action": action}, NOW, COMPANY)
    assert membership.paused is (action == "paused_at")


@pytest.mark.parametrize(
    ("kind", "data", "renewal"),
    [
        ("membership.deactivated", {}, Renewal.ENDED),
        ("membership.deactivated", {"status": "active"}, Renewal.ENDED),
        ("membership.updated", {}, None),
        ("membership.updated", {"status": "past_due"}, None),
        ("membership.activated", {}, Renewal.CONTINUES),
        ("membership.cancel_at_period_end_changed", {"cancel_at_period_end": True}, "canceled"),
        ("membership.cancel_at_period_end_changed", {"cancel_at_period_end": False}, "continues"),
    ],
)
def test_what_is_not_said_is_not_known(kind, data, renewal):
    membership = read_event(event(kind, {"id": "mem_1"} | data), NOW).membership
    assert membership is not None
    assert (membership.renewal, membership.paused) == (renewal, None)


def test_a_paid_first_purchase_begins_a_membership_and_a_renewal_does_not():
    def find(**data: Any) -> list[Any]:
        heard = read_event(event("payment.succeeded", payment_data(**data)), NOW).payment
        return find_memberships([heard] if heard else [])

    (begun,) = find(billing_reason="subscription_create", status="paid", product_id="prod_1")
    assert (begun.membership_id, begun.product_id, begun.started_at) == ("mem_1", "prod_1", NOW)
    assert find(billing_reason="subscription_cycle", status="paid") == []


@pytest.mark.parametrize("shape", [CURRENT, LEGACY], ids=["current", "legacy"])
def test_what_is_odd_in_a_membership_is_not_known(shape):
    odd: tuple[Any, ...] = (None, 7, [], {}, "", "a b", True)
    for field, value in itertools.product(shape, odd):
        if field != "id":
            found = read_membership(shape | {field: value}, NOW, COMPANY)
            assert found is None or found.membership_id == shape["id"]
