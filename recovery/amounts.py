"""What a payment costs and what is left of it, whatever order Whop's reports come in. Pure.

Whop may change an amount between a failure and the payment, and may tell its value in dollars late.
So what counts is the newest word while it was unpaid, and the newest one since it was paid: taking
in a report commutes with taking in another, and the same one twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

USD = "usd"
CENT = Decimal("0.01")
MICRO = Decimal("0.000001")
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Price:
    """What one report says. `amount_usd`: Whop's own conversion; None: it tells none."""

    observed_at: datetime
    amount: Decimal
    currency: str
    amount_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a payment says of its own refunds, all together."""

    observed_at: datetime
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Prices:
    """The newest words. `owed`: while it was unpaid; `paid`: since it was paid; `valued`: with a
    value in dollars; `given_back`: of its refunds. None: nobody said so yet."""

    owed: Price | None = None
    paid: Price | None = None
    valued: Price | None = None
    given_back: GivenBack | None = None

    @property
    def current(self) -> Price | None:
        return self.paid or self.owed

    @property
    def failed(self) -> Price | None:
        return self.owed or self.paid


@dataclass(frozen=True, slots=True)
class Refunded:
    """One refund that is on its way or done. `currency` None: the payment's."""

    observed_at: datetime
    amount: Decimal
    currency: str | None


def take_in(known: Prices, price: Price, *, paid: bool) -> Prices:
    """`paid`: the report says that the payment is paid."""
    taken = (
        replace(known, paid=choose_newer(known.paid, price))
        if paid
        else replace(known, owed=choose_newer(known.owed, price))
    )
    if price.amount_usd is None:
        return taken
    return replace(taken, valued=choose_newer(known.valued, price))


def choose_newer(known: Price | None, told: Price) -> Price:
    """Of two words from the same time the smaller amount, whichever was heard first."""
    return told if known is None else max(known, told, key=rank)


def rank(price: Price) -> tuple[datetime, Decimal, str, bool, Decimal]:
    value = price.amount_usd
    return (
        price.observed_at,
        -price.amount,
        price.currency,
        value is not None,
        -(value or NOTHING),
    )


def take_in_refunds(known: Prices, told: GivenBack) -> Prices:
    """A report that tells nothing of refunds takes back nothing."""
    before = known.given_back
    if before is not None and (before.observed_at, before.amount) >= (
        told.observed_at,
        told.amount,
    ):
        return known
    return replace(known, given_back=told)


def convert(price: Price, valued: Price | None) -> Decimal | None:
    """In dollars; where its report tells no value, at the rate of the payment's own newest one that
    does. None: no rate is known."""
    if price.amount_usd is not None:
        return price.amount_usd
    if price.currency == USD:
        return price.amount
    if valued is None or valued.amount_usd is None or valued.currency != price.currency:
        return None
    if valued.amount == 0:
        return None
    return (price.amount * valued.amount_usd / valued.amount).quantize(CENT)


def sum_refunds(
    refunds: Sequence[Refunded], given_back: GivenBack | None, currency: str
) -> Decimal | None:
    """What is given back, in the payment's currency. None: there are refunds in another one, and
    the payment has not told since what they come to.

    The payment may not know of a refund on its way, nor we of one that it counts, so the larger sum
    is taken.
    """
    own = sum((one.amount for one in refunds if one.currency in (None, currency)), NOTHING)
    others = [one for one in refunds if one.currency not in (None, currency)]
    told = given_back.amount if given_back is not None else NOTHING
    if others:
        newest = max(one.observed_at for one in others)
        if given_back is None or given_back.observed_at < newest or told <= own:
            return None
    return max(own, told)


def keep(
    amount: Decimal, amount_usd: Decimal | None, refunded: Decimal | None, disputed: Decimal
) -> Decimal | None:
    """What is left of a paid payment, in dollars. None: its value or its refunds' is not known."""
    if amount_usd is None or refunded is None:
        return None
    left = max(amount - refunded - disputed, NOTHING)
    if left == amount:
        return amount_usd
    return (amount_usd * left / amount).quantize(MICRO)


def find_disputed(
    amount: Decimal, currency: str, told: Decimal | None, told_currency: str | None
) -> Decimal:
    """What a dispute takes: all, unless it says that it is about a part."""
    return min(told, amount) if told and told_currency == currency else amount
