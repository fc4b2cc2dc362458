"""What a charge was made with: which methods we may charge again, and when two are the same card.

`Ban`: a decline after which this card is never charged again, whatever is answered later.
docs/creators/declines.md explains both to a creator.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from recovery.declines import (
    FORBIDS_THE_PAYMENT,
    STICKS,
    STRICTNESS,
    Decline,
    DeclineClass,
)

# What may be charged again without the member: cards, wallets that hold a card, and PayPal's
# standing agreements. A method that is not here, known or new, is never charged again: bank debits
# by their own rules, and the others because each payment needs the member (Cash App Pay, Amazon
# Pay, bank transfers, vouchers, paying later).
CHARGED_AGAIN = frozenset(
    {
        "card",
        "kr_card",
        "ng_card",
        "verve",
        "apple_pay",
        "google_pay",
        "samsung_pay",
        "link",
        "paypal",
        "paypal_express",
    }
)


@lru_cache(maxsize=1024)
def may_charge_method(method_type: str | None) -> bool:
    """`method_type`: Whop's `PaymentMethodTypes`, an open list. None: it was not told."""
    if method_type is None:
        return True
    return re.sub(r"[\W_]+", "_", method_type.strip().lower()) in CHARGED_AGAIN


# These leave the card as it is: only its printed date was over, or was told wrongly.
EXPIRED = "expired_card"
LIFTED_BY_EXPIRY = frozenset(
    {EXPIRED, "invalid_expiry", "invalid_expiry_month", "invalid_expiry_year"}
)
FACE = ("card_brand", "card_last4", "card_expiry")


@dataclass(frozen=True, slots=True)
class Card:
    """A payment method, which is mostly a card. The names are those of a payment's columns."""

    payment_method_id: str | None = None
    card_brand: str | None = None
    card_last4: str | None = None
    card_expiry: str | None = None


CARD_FIELDS = ("payment_method_id", *FACE)
READ_CARD = attrgetter(*CARD_FIELDS)


def identify_card(holder: Any) -> Card:
    """The card of a payment, a report or a ban."""
    return Card(*READ_CARD(holder))


def is_same_card(one: Card, other: Card) -> bool:
    """By the payment method's id where both have one, else by what is printed on the card.

    What is unknown of either is taken for the same: in doubt, nobody is charged.
    """
    if one.payment_method_id and other.payment_method_id:
        return one.payment_method_id == other.payment_method_id
    return not any(
        (known := fold(name, getattr(one, name)))
        and (told := fold(name, getattr(other, name)))
        and known != told
        for name in FACE
    )


def fill_card(told: Card, known: Card) -> Card:
    """`told`, with what a report leaves out and is known, unless it is another card."""
    if not is_same_card(told, known):
        return told
    return Card(*(new or old for new, old in zip(READ_CARD(told), READ_CARD(known), strict=True)))


# One brand, written differently by different processors.
BRANDS = {"americanexpress": "amex", "mc": "mastercard", "master": "mastercard"}


def fold(name: str, value: str | None) -> str | None:
    if value is None or name != "card_brand":
        return value
    letters = "".join(filter(str.isalpha, value.lower()))
    return BRANDS.get(letters, letters)


@dataclass(frozen=True, slots=True)
class Ban:
    """`attempt`: which charge of the payment was so declined (`name_attempt`)."""

    payment_id: str
    attempt: str
    card: Card
    decline: Decline
    observed_at: datetime


def holds(ban: Ban, payment_id: str, card: Card) -> bool:
    """Whether the ban forbids charging this card for this payment of the same member."""
    if ban.decline.decline_class in FORBIDS_THE_PAYMENT and ban.payment_id != payment_id:
        return False
    return is_same_card(ban.card, card) and not is_renewed(ban, card)


def is_renewed(ban: Ban, card: Card) -> bool:
    """A new date on the card answers a complaint about the date, and no other."""
    before, now = ban.card.card_expiry, card.card_expiry
    if ban.decline.code not in LIFTED_BY_EXPIRY or before is None or now is None:
        return False
    return now > before if ban.decline.code == EXPIRED else now != before


def find_held(bans: Iterable[Ban], payment_id: str, card: Card) -> Ban | None:
    """The strictest ban that holds. None: the card may be charged, as far as bans go."""
    held = [ban for ban in bans if holds(ban, payment_id, card)]
    return min(held, key=rank, default=None)


def rank(ban: Ban) -> tuple[int, datetime, str]:
    strictness = STRICTNESS.index(ban.decline.decline_class)
    return strictness, ban.observed_at, ban.decline.code or ""


# What is known of a card that has taken another's place since the last charge.
NOT_CHARGED_YET = Decline(None, DeclineClass.UNKNOWN, "No charge on the new card yet")


def choose_decline(
    told: Decline | None, known: Decline, bans: Collection[Ban], payment_id: str, card: Card
) -> Decline:
    """What holds for a payment now: a ban on its card; else the newest decline.

    `told`: by the newest report; `known`: before it. A decline of a class whose bans do not hold
    was another card's.
    """
    # invariant 3: no later answer lifts a ban
    if (held := find_held(bans, payment_id, card)) is not None:
        return held.decline
    anothers = {ban.decline.decline_class for ban in bans} & STICKS
    own = (decline for decline in (told, known) if decline is not None)
    return next((d for d in own if d.decline_class not in anothers), NOT_CHARGED_YET)


# --- which card was charged --------------------------------------------------------------------


def name_attempt(failures: int | None, last_attempt_at: datetime | None, card: Card) -> str:
    """Names the charge that a report tells of. Where Whop does not number them, each card that a
    report shows counts as charged."""
    if failures is None and last_attempt_at is None:
        return repr(READ_CARD(card))
    number = "-" if failures is None else failures
    if last_attempt_at is None:
        return f"{number} -"
    at = last_attempt_at.astimezone(UTC).replace(tzinfo=None)
    return f"{number} {at.isoformat(timespec='microseconds')}"


def find_charged_card(
    attempt: str, observed_at: datetime, shown: Card, before: Card | None, bans: Iterable[Ban]
) -> Card:
    """The card that was declined: the one shown when this charge was first told of.

    A card that changes while no charge is made was not the one declined. `before`: the payment's
    card, where it is known to have been charged last, and a newer report tells of the same charge.
    """
    told = [ban for ban in bans if ban.attempt == attempt and ban.observed_at <= observed_at]
    if told:
        return min(told, key=lambda ban: ban.observed_at).card
    return before if before is not None else shown
