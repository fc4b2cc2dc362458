"""Amounts as they are read: recovery/wording.py."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from recovery.wording import format_money


@given(some.decimals(min_value=-(10**12), max_value=10**12, places=2))
def test_it_loses_no_cent_in_a_formatted_amount(amount: Decimal) -> None:
    assert Decimal(format_money(amount, "USD").replace("$", "").replace(",", "")) == amount
    digits, code = format_money(amount, "cad").split(" ")
    assert (Decimal(digits.replace(",", "")), code) == (amount, "CAD")


@given(some.decimals(min_value=0, max_value=10**9, places=5))
def test_it_rounds_to_what_the_currency_has(amount: Decimal) -> None:
    for currency, step in (("jpy", "1"), ("kwd", "0.001"), ("eur", "0.01")):
        shown = Decimal(format_money(amount, currency).strip("€JPYKWD ").replace(",", ""))
        assert abs(shown - amount) <= Decimal(step) / 2
        assert shown % Decimal(step) == 0


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("1234.5", "usd", "$1,234.50"),
        ("1234.5", "EUR", "€1,234.50"),
        ("1234.5", "jpy", "1,235 JPY"),
        ("29", "cad", "29.00 CAD"),
        ("0", "usd", "$0.00"),
    ],
)
def test_it_says_money_in_its_own_currency(amount: str, currency: str, words: str) -> None:
    assert format_money(Decimal(amount), currency) == words
