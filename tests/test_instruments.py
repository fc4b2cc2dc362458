"""What was charged is named as its payer knows it, and called a card only where it is one."""

from __future__ import annotations

from typing import get_args

import pytest
from whop_sdk.types.payment_method_types import PaymentMethodTypes

from recovery.instruments import CARD, choose_instrument_name, describe_instrument
from whop.objects import read_instrument

TYPES = get_args(get_args(PaymentMethodTypes)[0])
OTHERS = [kind for kind in TYPES if "card" not in kind and kind != "verve"]


@pytest.mark.parametrize(
    ("brand", "last4", "shown"),
    [
        ("visa", "4242", "your Visa ending in 4242"),
        ("amex", "0005", "your American Express ending in 0005"),
        ("diners_club", "1117", "your Diners Club ending in 1117"),
        (None, "4242", "your card ending in 4242"),
        ("visa", None, "your card"),
    ],
)
def test_a_card_is_named_as_its_holder_knows_it(brand, last4, shown):
    assert describe_instrument(CARD, brand, last4).in_sentence == shown


@pytest.mark.parametrize("display_name", [None, "Klarna", "Some Wallet"])
def test_no_other_way_to_pay_is_ever_called_a_card(display_name):
    for kind in OTHERS:
        name = choose_instrument_name(display_name, kind, None)
        found = describe_instrument(name, None, None)
        assert not found.is_card, kind
        assert "card" not in found.in_sentence.lower()
        assert "_" not in found.in_sentence


@pytest.mark.parametrize("kind", [kind for kind in TYPES if "card" in kind])
def test_every_kind_of_card_is_one(kind):
    assert choose_instrument_name(None, kind, None) == CARD


@pytest.mark.parametrize(
    ("display_name", "kind", "last4", "shown"),
    [
        ("PayPal", "paypal", None, "PayPal"),
        (None, "paypal", None, "PayPal"),
        ("Klarna", "klarna", None, "Klarna"),
        (None, "cashapp", None, "Cash App"),
        (None, "crypto", None, "your crypto wallet"),
        ("Chase", "us_bank_account", None, "your bank account"),
        (None, "sepa_debit", None, "your bank account"),
        (None, "a_wallet_of_tomorrow", None, "A Wallet Of Tomorrow"),
        (None, None, None, "your payment method"),
        (None, "unknown", None, "your payment method"),
        # A wallet that shows its card's digits is that card.
        ("Visa •••• 4242", "apple_pay", "4242", "your card ending in 4242"),
        ("Apple Pay", "apple_pay", None, "Apple Pay"),
    ],
)
def test_it_is_named_by_what_whop_tells(display_name, kind, last4, shown):
    name = choose_instrument_name(display_name, kind, last4)
    assert describe_instrument(name, None, last4).in_sentence == shown


def test_a_card_that_is_left_for_paypal_is_no_longer_named():
    """Its digits stay in the row until another card takes their place."""
    found = describe_instrument("PayPal", "visa", "4242")
    assert (found.in_sentence, found.is_card) == ("PayPal", False)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"payment_method_type": "card", "payment_instrument": {"card": {"last4": "4242"}}}, CARD),
        ({"payment_instrument": {"display_name": "Klarna", "card": None}}, "Klarna"),
        ({"payment_method_type": "paypal", "card_last4": None}, "PayPal"),
        ({"card_brand": "visa", "card_last4": "4242"}, CARD),
        ({}, None),
        ({"payment_instrument": "odd", "payment_method_type": 7}, None),
    ],
)
def test_it_is_read_from_both_shapes(data, name):
    assert read_instrument(data)["instrument_name"] == name
