"""What a payment was charged to, as its payer knows it: a card, PayPal, a bank account. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from recovery.wording import make_plain, name_brand

LONGEST_INSTRUMENT = 40
# How a card is kept in `payments.instrument_name`; its brand and digits have columns of their own.
CARD = "card"
UNKNOWN_INSTRUMENT = "payment method"
# Of Whop's method types (an open list), those that are cards without a wallet around them.
CARD_TYPES = frozenset({"card", "card_present", "kr_card", "ng_card", "verve"})
CARD_INSTALLMENTS = "card_installments"
# Where Whop tells the type alone. A type that is not here is written as Whop writes it.
TYPE_NAMES = {
    "cashapp": "Cash App",
    "crypto": "crypto wallet",
    "coinbase": "Coinbase",
    "ideal": "iDEAL",
    "paypal": "PayPal",
    "paypal_express": "PayPal",
    "platform_balance": "Whop balance",
    "p24": "Przelewy24",
    "whop_pay": "Whop balance",
}
BANK_ACCOUNT = "bank account"
BANK_TYPES = ("_debit", "_bank_account", "_bank_transfer", "bank_wire", "pay_by_bank", "ng_bank")
# What is said after "your"; other names stand by themselves: "with PayPal".
OWNED = frozenset({CARD, BANK_ACCOUNT, UNKNOWN_INSTRUMENT, "crypto wallet", "Whop balance"})
SHAPELESS = frozenset({"unknown", "custom", "customer_balance"})


@dataclass(frozen=True, slots=True)
class Instrument:
    """`name`: `Visa ending in 4242`, `PayPal`, `bank account`, `payment method`."""

    name: str
    is_card: bool = False

    @property
    def is_known(self) -> bool:
        return self.name != UNKNOWN_INSTRUMENT

    @property
    def in_sentence(self) -> str:
        """`your Visa ending in 4242`, `PayPal`."""
        return f"your {self.name}" if self.is_card or self.name in OWNED else self.name


def choose_instrument_name(
    display_name: str | None, method_type: str | None, last4: str | None
) -> str | None:
    """What is kept of Whop's words. None: Whop told nothing of what was charged.

    A wallet that shows its card's digits is that card.
    """
    if last4:
        return CARD
    kind = (method_type or "").lower()
    if kind in CARD_TYPES or kind.startswith(CARD_INSTALLMENTS):
        return CARD
    if any(kind == part or kind.endswith(part) for part in BANK_TYPES):
        return BANK_ACCOUNT
    told = make_plain(display_name or "", LONGEST_INSTRUMENT)
    if told:
        return told
    if not kind or kind in SHAPELESS:
        return None
    return TYPE_NAMES.get(kind) or make_plain(kind.replace("_", " ").title(), LONGEST_INSTRUMENT)


def describe_instrument(
    instrument_name: str | None, brand: str | None, last4: str | None
) -> Instrument:
    """By the kept columns. A card whose row is older than `instrument_name` has its digits."""
    digits = make_plain(last4 or "", 4)
    if instrument_name == CARD or (instrument_name is None and digits):
        known = name_brand(make_plain((brand or "").replace("_", " "), 20)) or CARD
        return Instrument(f"{known} ending in {digits}" if digits else CARD, is_card=True)
    name = make_plain(instrument_name or "", LONGEST_INSTRUMENT)
    return Instrument(name or UNKNOWN_INSTRUMENT)
