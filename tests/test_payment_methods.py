"""Which methods may be charged again, when two are the same card, and how long a ban holds."""

from __future__ import annotations

import itertools
import typing
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whop_sdk.types.payment_method_types import PaymentMethodTypes

from recovery.decline_codes import CLASS_OF, classify
from recovery.declines import (
    FORBIDS_THE_PAYMENT,
    NEVER_CHARGED_AGAIN,
    STICKS,
    STRICTNESS,
    Decline,
    DeclineClass,
)
from recovery.message_schedule import SEQUENCES, ScheduleContext, plan_next
from recovery.payment_methods import (
    CHARGED_AGAIN,
    LIFTED_BY_EXPIRY,
    NOT_CHARGED_YET,
    Ban,
    Card,
    choose_decline,
    find_held,
    is_same_card,
    may_charge_method,
)
from recovery.retrying.context import RetryContext, RetryRules
from recovery.retrying.decisions import NoRetry, decide, find_no_retry_reason
from recovery.retrying.policy import POLICIES
from recovery.retrying.transitions import decide_backup
from recovery.status import Step
from tests.factories import NOW
from tests.test_decline_words import FORBIDDING_TEXTS, SOFT_TEXTS

KNOWN_METHODS = set(typing.get_args(typing.get_args(PaymentMethodTypes)[0]))
DEBITS = ("sepa_debit", "us_bank_account", "ach_debit", "bacs_debit", "au_becs_debit", "acss_debit")
CODES = sorted(CLASS_OF)
STICKING = [code for code in CODES if CLASS_OF[code] in STICKS]
CARD = Card("payt_1", "visa", "4242", "2027-04")
NO_CARD = Card()
DAY = timedelta(days=1)


# --- methods -----------------------------------------------------------------------------------


def test_what_may_be_charged_again_are_methods_of_whops():
    assert CHARGED_AGAIN <= KNOWN_METHODS


@pytest.mark.parametrize(
    "method",
    [
        *DEBITS,
        "pad_debit",
        "bank_account",
        "nz_bank_account",
        "SEPA Debit",
        "a_new_bank_debit",
        "cashapp",
        "amazon_pay",
        "klarna",
        "coinbase",
        "unknown",
        "brand_new_way",
    ],
)
def test_debits_and_methods_that_need_the_member_are_not_charged_again(method):
    assert not may_charge_method(method)


@pytest.mark.parametrize("method", [None, "card", "Card", "apple_pay", "google_pay", "paypal"])
def test_cards_and_what_was_not_told_are_judged_by_their_decline(method):
    assert may_charge_method(method)


def test_the_method_decides_before_any_code_and_any_word():
    for method in sorted(KNOWN_METHODS - CHARGED_AGAIN):
        for code, text in itertools.product((None, "zz_9", *CODES), (None, *SOFT_TEXTS[:3])):
            decline = classify(code, text, method)
            assert decline.decline_class in STICKS
            rank = STRICTNESS.index
            assert rank(decline.decline_class) <= rank(DeclineClass.BANK_DEBIT)


@given(
    st.sampled_from([None, *sorted(KNOWN_METHODS)]),
    st.sampled_from([None, "zz_9", *CODES]),
    st.sampled_from((*SOFT_TEXTS, *FORBIDDING_TEXTS)),
)
def test_method_code_and_words_never_allow_what_one_of_them_forbids(method, code, text):
    decline_class = classify(code, text, method).decline_class
    forbidden = (
        not may_charge_method(method)
        or classify(code).decline_class in NEVER_CHARGED_AGAIN
        or text in FORBIDDING_TEXTS
    )
    assert not forbidden or decline_class in NEVER_CHARGED_AGAIN


# --- the same card -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"payment_method_id": "payt_2"}, False),
        ({"card_last4": "1111"}, True),  # the id decides
        ({"card_expiry": "2031-01"}, True),
        ({"payment_method_id": None}, True),
        ({"payment_method_id": None, "card_last4": "1111"}, False),
        ({"payment_method_id": None, "card_brand": "amex"}, False),
        ({"payment_method_id": None, "card_brand": "Visa"}, True),
        ({"payment_method_id": None, "card_expiry": "2031-01"}, False),
        ({"payment_method_id": None, "card_expiry": None}, True),
        ({"payment_method_id": None, "card_last4": None, "card_expiry": None}, True),
        (dict.fromkeys(("payment_method_id", "card_brand", "card_last4", "card_expiry")), True),
    ],
)
def test_a_card_is_known_by_its_id_else_by_what_is_printed_on_it(change, same):
    assert is_same_card(CARD, replace(CARD, **change)) is same
    assert is_same_card(replace(CARD, **change), CARD) is same


# --- bans --------------------------------------------------------------------------------------


def ban(code: str, payment_id: str = "pay_1", card: Card = CARD, hours: int = 0) -> Ban:
    return Ban(payment_id, f"{hours}", card, classify(code), NOW + timedelta(hours=hours))


def decline_after(*codes: str, payment_id: str = "pay_1", card: Card = CARD) -> Decline:
    """What holds after the card was declined so, one answer after the other."""
    bans: list[Ban] = []
    known = classify(codes[0])
    for hours, code in enumerate(codes):
        if CLASS_OF[code] in STICKS:
            bans.append(ban(code, hours=hours))
        known = choose_decline(classify(code), known, bans, payment_id, card)
    return known


def make_context(decline: Decline) -> RetryContext:
    return RetryContext(
        decline.decline_class, 0, True, NOW, NOW, NOW + 5 * DAY, decline_code=decline.code
    )


@pytest.mark.parametrize("strict", STICKING)
def test_after_a_strict_answer_no_later_one_charges_or_writes_more(strict):
    """Every ordered pair of codes: by the policy, by a click, and on the backup card."""
    rank = STRICTNESS.index
    for later in CODES:
        decline = decline_after(strict, later)
        assert rank(decline.decline_class) <= rank(CLASS_OF[strict])
        context = make_context(decline)
        for policy in POLICIES:
            assert isinstance(decide(context, RetryRules(policy), NOW + DAY), NoRetry)
            assert find_no_retry_reason(context, RetryRules(policy)) is not None
        if CLASS_OF[strict] is not DeclineClass.CARD:
            assert decide_backup(context, NOW + DAY) is None
        allowed = set(SEQUENCES[CLASS_OF[strict]]) | {Step.NOTICE}
        assert set(SEQUENCES[decline.decline_class]) <= allowed


@pytest.mark.parametrize("first", CODES)
def test_after_a_notice_nothing_follows_whatever_is_answered(first):
    for later in CODES:
        decline_class = decline_after(first, later).decline_class
        for written in ({Step.NOTICE}, {Step.NOTICE, Step.PAYMENT_FAILED}):
            context = ScheduleContext(decline_class, NOW + 5 * DAY, written=frozenset(written))
            assert plan_next(context, NOW) is None


def test_between_answers_that_forbid_nothing_the_newest_counts():
    for code in CODES:
        if CLASS_OF[code] not in STICKS:
            for later in CODES:
                assert decline_after(code, later) == classify(later)


def test_another_card_lifts_it():
    for code in STICKING:
        other = replace(CARD, payment_method_id="payt_2", card_last4="1111")
        assert decline_after(code, card=other) == NOT_CHARGED_YET
        assert find_no_retry_reason(make_context(NOT_CHARGED_YET), RetryRules("hourly")) is None


@pytest.mark.parametrize("expiry", ["2029-04", None, "2027-04"])
def test_a_new_date_lifts_what_was_about_the_date_and_nothing_else(expiry):
    for code in STICKING:
        held = find_held([ban(code)], "pay_1", replace(CARD, card_expiry=expiry))
        assert (held is None) == (code in LIFTED_BY_EXPIRY and expiry == "2029-04"), code


def test_an_earlier_date_does_not_renew_an_expired_card():
    card = replace(CARD, card_expiry="2025-01")
    assert find_held([ban("expired_card")], "pay_1", card)
    assert find_held([ban("invalid_expiry")], "pay_1", card) is None


def test_it_holds_for_all_payments_of_the_member_unless_it_is_about_one():
    for code in STICKING:
        held = find_held([ban(code)], "pay_2", CARD)
        assert (held is None) == (CLASS_OF[code] in FORBIDS_THE_PAYMENT)
        assert find_held([ban(code)], "pay_1", CARD)


def test_where_nothing_is_known_of_the_card_it_holds():
    for code in STICKING:
        assert find_held([ban(code)], "pay_1", NO_CARD)
        assert find_held([ban(code, card=NO_CARD)], "pay_1", CARD)


def test_of_several_bans_the_strictest_is_shown():
    bans = [ban("expired_card"), ban("stolen_card", hours=1), ban("closed_account", hours=2)]
    for order in itertools.permutations(bans):
        held = find_held(order, "pay_1", CARD)
        assert held is not None
        assert held.decline.code == "stolen_card"


def test_the_order_names_every_class_once():
    assert sorted(STRICTNESS) == sorted(DeclineClass)
