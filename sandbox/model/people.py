"""Draws a membership, its member and card from the population."""

import unicodedata
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from random import Random

from sandbox.model.population import (
    CARD_BRANDS,
    CURRENCIES,
    FIRST_NAMES,
    LAST_NAMES,
    PRODUCTS,
    USD_PER,
)
from sandbox.model.records import Card, Membership

PERIOD = timedelta(days=30)
SPARE_CARD_SHARE = 0.35
EXPIRED_SPARE_SHARE = 0.15
SPARE_WORKS_SHARE = 0.6
# Members' spare cards: how many have one, and how many of them work. Invented: nobody publishes it.
SPARE_DECLINES = ("insufficient_funds", "generic_decline", "card_declined_by_issuer")
GIVEN, FAMILY = FIRST_NAMES.split(), LAST_NAMES.split()


def identifier(prefix: str, *parts: object, length: int = 14) -> str:
    """Deterministic: the same parts give the same id."""
    digest = blake2b("/".join(map(str, parts)).encode(), digest_size=(length + 1) // 2)
    return f"{prefix}_{digest.hexdigest()[:length]}"


def in_usd(amount: Decimal, currency: str) -> Decimal:
    return (amount * USD_PER.get(currency, Decimal(1))).quantize(Decimal("0.01"))


def draw_membership(
    random: Random, account_id: str, key: str, at: datetime, *, expired: bool = False
) -> Membership:
    """A membership that is 1 to 18 months old and renews at `at`."""
    product = random.choices(PRODUCTS, [product.share for product in PRODUCTS])[0]
    name = f"{random.choice(GIVEN)} {random.choice(FAMILY)}"
    handle = make_handle(name)
    months = random.randint(1, 18)
    return Membership(
        id=identifier("mem", key),
        account_id=account_id,
        member_id=identifier("mber", key),
        user_id=identifier("user", key),
        name=name,
        username=handle.replace(".", "") + str(random.randint(1, 999)),
        email=f"{handle}.{random.randint(1, 9999)}@example.com",
        plan_id=identifier("plan", account_id, product.title),
        product_id=identifier("prod", account_id, product.title),
        product_title=product.title,
        price=product.price,
        currency=random.choices(list(CURRENCIES), list(CURRENCIES.values()))[0],
        status="active",
        created_at=at - PERIOD * months,
        period_start=at - PERIOD,
        period_end=at,
        updated_at=at,
        card=draw_card(random, key, at, expired=expired),
    )


def draw_card(random: Random, key: str, at: datetime, *, expired: bool = False) -> Card:
    shares = [share for share, _ in CARD_BRANDS.values()]
    brand = random.choices(list(CARD_BRANDS), shares)[0]
    year = at.year - 1 if expired else at.year + random.randint(1, 4)
    return Card(
        method_id=identifier("payt", key),
        brand=brand,
        issuer_number=CARD_BRANDS[brand][1],
        last4=f"{random.randint(0, 9999):04d}",
        exp_month=random.randint(1, 12),
        exp_year=year,
    )


def make_handle(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name)
    return ".".join(letters.encode("ascii", "ignore").decode().lower().split())
