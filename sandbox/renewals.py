"""Draws one renewal, with whatever a test wants to decide itself."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox import bank
from sandbox.people import draw_membership, identifier, in_usd
from sandbox.population import (
    CAUSES,
    MEMBER_PAYS_MEDIAN_HOURS,
    MEMBER_PAYS_SPREAD,
    cause_of,
)
from sandbox.records import PAID, PENDING, Due, Membership, Payment


@with_config(extra="forbid")
class Renewal(TypedDict, total=False):
    """`membership_id` renews a membership that is there already, with its own card and currency.

    The spare cards: how many, and what a charge of one gives. To name one of these is to have one.
    """

    account_id: str
    membership_id: str
    name: str
    email: str
    amount: Decimal
    currency: str
    billing_reason: str
    spare_cards: int
    spare_pays: bool
    spare_script: Sequence[str]
    spare_expired: bool


@with_config(extra="forbid")
class Overrides(Renewal, total=False):
    """`script` lists the outcome of every charge, the first, failing one included."""

    decline_code: str
    script: Sequence[str]
    member_pays_after_hours: float


def first_decline(random: Random, wanted: Overrides) -> str:
    """Why the renewal fails."""
    if script := wanted.get("script"):
        if script[0].partition(":")[0] in (PAID, PENDING):
            raise ValueError(f"a failing renewal begins with a decline code, not {script[0]!r}")
        return script[0]
    if code := wanted.get("decline_code"):
        return code
    causes = list(CAUSES.values())
    return random.choice(random.choices(causes, [cause.share for cause in causes])[0].codes)


def renewing_member(
    random: Random, account_id: str, key: str, wanted: Renewal, at: datetime, code: str
) -> Membership:
    drawn = draw_membership(random, account_id, key, at, expired=code == "expired_card")
    return replace(
        drawn,
        name=wanted.get("name", drawn.name),
        email=wanted.get("email", drawn.email),
        price=wanted.get("amount", drawn.price),
        currency=wanted.get("currency", drawn.currency),
    )


def draw_renewal(
    random: Random, membership: Membership, key: str, wanted: Renewal, at: datetime, code: str
) -> Payment:
    """The payment as it stands before its first charge, which `code` declines if there is one."""
    amount = wanted.get("amount", membership.price)
    return Payment(
        id=identifier("pay", key),
        account_id=membership.account_id,
        membership_id=membership.id,
        amount=amount,
        usd_amount=in_usd(amount, membership.currency),
        currency=membership.currency,
        billing_reason=wanted.get("billing_reason", "subscription_cycle"),
        status="open",
        substatus="incomplete",
        created_at=at,
        updated_at=at,
        card=membership.card,
        story=bank.draw_story(random, cause_of(code), at),
    )


def draw_member_pays(
    random: Random, payment: Payment, wanted: Overrides, at: datetime, code: str, speed: float
) -> Due | None:
    """Some members put it right by themselves; those of a scripted payment only when told to."""
    hours = wanted.get("member_pays_after_hours")
    if hours is None:
        if payment.script or random.random() >= cause_of(code).member_pays:
            return None
        median = math.log(MEMBER_PAYS_MEDIAN_HOURS)
        hours = random.lognormvariate(median, MEMBER_PAYS_SPREAD) / speed
    return Due("member_pays", payment.id, at + timedelta(hours=hours))
