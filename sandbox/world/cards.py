"""Members' saved cards: the one that renewals charge and, for some members, spare ones."""

from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

from pydantic import TypeAdapter

from sandbox.model import bank
from sandbox.model.people import (
    EXPIRED_SPARE_SHARE,
    SPARE_CARD_SHARE,
    SPARE_DECLINES,
    SPARE_WORKS_SHARE,
    draw_card,
)
from sandbox.model.records import PAID, Card, Membership, SavedCard
from sandbox.model.renewals import Renewal
from sandbox.model.times import iso, sortable
from sandbox.state.store import Missing, Store
from sandbox.wire.current import ICONS

SAVED_CARD = TypeAdapter(SavedCard)


class Cards:
    def __init__(self, store: Store) -> None:
        self.store = store

    def save(self, saved: SavedCard) -> None:
        self.store.save(
            "cards",
            saved.card.method_id,
            SAVED_CARD.dump_json(saved),
            account_id=saved.account_id,
            member_id=saved.member_id,
            brand=saved.card.brand,
            expires=f"{saved.card.exp_year}-{saved.card.exp_month:02d}",
            created_at=sortable(saved.created_at),
        )

    def find(self, method_id: str) -> SavedCard | None:
        try:
            return SAVED_CARD.validate_json(self.store.document("cards", method_id))
        except Missing:
            return None

    def save_card(
        self, membership: Membership, card: Card, at: datetime, script: tuple[str, ...] = ()
    ) -> None:
        self.save(SavedCard(card, membership.account_id, membership.member_id, at, script))

    def renew(self, card: Card) -> None:
        """A saved card has a new date."""
        if (saved := self.find(card.method_id)) is not None:
            self.save(replace(saved, card=card))

    def save_spares(self, membership: Membership, key: str, wanted: Renewal, at: datetime) -> None:
        """Spare cards have their own random numbers, so that they change nothing else."""
        random = Random(f"{key}/spares")
        for number in range(count_spares(random, wanted)):
            expired = is_spare_expired(random, wanted)
            card = draw_card(random, f"{key}/spare/{number}", at, expired=expired)
            script = choose_script(random, wanted, expired)
            self.save_card(membership, card, membership.created_at, script)

    def next_outcome(self, method_id: str) -> str | None:
        """The outcome of charging a spare card. None: the bank's scenario decides."""
        saved = self.find(method_id)
        if saved is None or not saved.script:
            return None
        self.save(replace(saved, charges=saved.charges + 1))
        return bank.scripted(saved.script, saved.charges)


def describe_card(saved: SavedCard, now: datetime) -> dict[str, Any]:
    """A saved card has one shape in all API versions. Its year has two digits, as in the SDK."""
    card = saved.card
    return {
        "typename": "CardPaymentMethod",
        "id": card.method_id,
        "payment_method_type": "card",
        "created_at": iso(saved.created_at),
        "has_payer_document": False,
        "icons": ICONS,
        "card": {
            "brand": card.brand,
            "last4": card.last4,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year % 100,
            "expired": (card.exp_year, card.exp_month) < (now.year, now.month),
            "fingerprint": card.fingerprint,
            "funding_type": None,
            "three_ds_verified": False,
        },
    }


def count_spares(random: Random, wanted: Renewal) -> int:
    if (number := wanted.get("spare_cards")) is not None:
        return number
    if wanted.keys() & {"spare_pays", "spare_script", "spare_expired"}:
        return 1
    # A scripted payment has only what it asks for, and a known member already has their cards.
    if wanted.keys() & {"script", "membership_id"}:
        return 0
    return int(random.random() < SPARE_CARD_SHARE)


def is_spare_expired(random: Random, wanted: Renewal) -> bool:
    if wanted.keys() & {"spare_pays", "spare_script"}:
        return wanted.get("spare_expired", False)
    return wanted.get("spare_expired", random.random() < EXPIRED_SPARE_SHARE)


def choose_script(random: Random, wanted: Renewal, expired: bool) -> tuple[str, ...]:
    if script := wanted.get("spare_script"):
        return tuple(script)
    works = wanted.get("spare_pays", not expired and random.random() < SPARE_WORKS_SHARE)
    if works:
        return (PAID,)
    return ("expired_card" if expired else random.choice(SPARE_DECLINES),)
