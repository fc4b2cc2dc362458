"""Draws one renewal; a test may choose any part of it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Required

from pydantic import with_config
from typing_extensions import TypedDict

from recovery.decline_codes import classify
from recovery.declines import DeclineClass
from sandbox.model import bank
from sandbox.model.assumptions import Assumptions
from sandbox.model.people import draw_membership, identifier, in_usd
from sandbox.model.population import CODES
from sandbox.model.records import PAID, PENDING, Due, Membership, Payment

DELAY_SPREAD = 0.9
USUAL_CODE = "generic_decline"
MAY_PASS = frozenset(
    {DeclineClass.FUNDS, DeclineClass.ISSUER, DeclineClass.TECHNICAL, DeclineClass.UNKNOWN}
)
LEAVES_WITHIN = timedelta(days=5)


@with_config(extra="forbid")
class Renewal(TypedDict, total=False):
    """`membership_id` renews an existing membership, with its own card and currency.

    The `spare_` fields say how many spare cards there are and how charging one ends. Giving any of
    them means that there is at least one spare card.
    """

    account_id: str
    membership_id: str
    name: str
    email: str
    amount: Decimal
    currency: str
    billing_reason: str
    payment_method_type: str
    spare_cards: int
    spare_pays: bool
    spare_script: Sequence[str]
    spare_expired: bool


@with_config(extra="forbid")
class Overrides(Renewal, total=False):
    """`script` lists the outcome of every charge, including the first, which fails."""

    decline_code: str
    script: Sequence[str]
    member_pays_after_hours: float


@with_config(extra="forbid")
class HandMade(TypedDict, total=False):
    """A failed payment that somebody told the receiver by hand, as the receiver understood it."""

    payment_id: Required[str]
    account_id: Required[str]
    amount: Required[Decimal]
    member_id: str
    currency: str
    reason: str
    name: str
    email: str


def make_overrides(made: HandMade) -> Overrides:
    """By its reason: where another try can help, the first one is paid; else none ever is."""
    decline = classify(None, made.get("reason"))
    code = decline.code or USUAL_CODE
    wanted: Overrides = {"amount": made["amount"], "script": (code,)}
    if decline.decline_class in MAY_PASS:
        wanted["script"] = (code, PAID)
    if "currency" in made:
        wanted["currency"] = made["currency"]
    if "name" in made:
        wanted["name"] = made["name"]
    if "email" in made:
        wanted["email"] = made["email"]
    return wanted


def first_decline(random: Random, wanted: Overrides, assumed: Assumptions) -> str:
    """Why the renewal fails. Raises ValueError if its script does not begin with a failure."""
    if script := wanted.get("script"):
        if script[0].partition(":")[0] in (PAID, PENDING):
            raise ValueError(f"a failing renewal begins with a decline code, not {script[0]!r}")
        return script[0]
    if code := wanted.get("decline_code"):
        return code
    shares = [odds.share for odds in assumed.odds.values()]
    return random.choice(CODES[random.choices(list(assumed.odds), shares)[0]])


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
        card=replace(drawn.card, method_type=wanted.get("payment_method_type", "card")),
    )


def draw_renewal(
    random: Random,
    membership: Membership,
    key: str,
    wanted: Renewal,
    at: datetime,
    code: str,
    assumed: Assumptions,
) -> Payment:
    """The payment before its first charge. `code` declines that charge; empty: it is paid."""
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
        scenario=bank.draw_scenario(random, assumed, code, at),
    )


def draw_member_pays(
    random: Random,
    payment: Payment,
    wanted: Overrides,
    at: datetime,
    code: str,
    speed: float,
    assumed: Assumptions,
) -> Due | None:
    """Some members pay by themselves. For a scripted payment they do so only on request."""
    hours = wanted.get("member_pays_after_hours")
    if hours is None:
        if payment.script or random.random() >= assumed.odds_of(code).member_pays:
            return None
        hours = draw_delay(random, assumed.member_hours) / speed
    return Due("member_pays", payment.id, at + timedelta(hours=hours))


def draw_delay(random: Random, median_hours: float) -> float:
    """Hours until a member acts. Log-normal."""
    return random.lognormvariate(math.log(median_hours), DELAY_SPREAD)


def draw_leaving(payment: Payment, at: datetime, speed: float, assumed: Assumptions) -> Due | None:
    """Some members cancel while the payment is open, whatever anybody does."""
    random = Random(f"{payment.scenario.luck}/leaves")
    if payment.script or random.random() >= assumed.leaves:
        return None
    return Due("cancel", payment.id, at + random.random() * LEAVES_WITHIN / speed)


def draw_losing_patience(
    payment: Payment, failures: int, at: datetime, speed: float, assumed: Assumptions
) -> Due | None:
    """Whop notifies the member of every failed charge, and each time a few members cancel."""
    random = Random(f"{payment.scenario.luck}/tires/{failures}")
    if payment.script or random.random() >= assumed.leaves_per_decline:
        return None
    hours = draw_delay(random, assumed.mail_hours) / speed
    return Due("cancel", payment.id, at + timedelta(hours=hours))
