"""What the figures are made of: docs/creators/figures.md defines each one.

Money is in US dollars, as Whop converted it at the charge, net of refunds and disputes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

CENT = Decimal("0.01")
NO_MONEY = Decimal("0.00")


def to_cents(amount: Decimal) -> Decimal:
    return Decimal(amount).quantize(CENT)


def percent(part: Decimal | int, whole: Decimal | int) -> Decimal:
    return (Decimal(100 * part) / whole).quantize(Decimal("0.1")) if whole else Decimal("0.0")


@dataclass(frozen=True, slots=True)
class Split:
    """Recovered money by who brought it (docs/creators/attribution.md). The parts never overlap."""

    retry: Decimal = NO_MONEY
    click: Decimal = NO_MONEY
    member: Decimal = NO_MONEY
    without_us: Decimal = NO_MONEY

    @property
    def parts(self) -> tuple[Decimal, ...]:
        """In the order of RecoveredBy."""
        return self.retry, self.click, self.member, self.without_us

    @property
    def after_message(self) -> Decimal:
        return self.click + self.member

    @property
    def ours(self) -> Decimal:
        """Some of it would have come anyway."""
        return self.retry + self.after_message

    @property
    def total(self) -> Decimal:
        return self.ours + self.without_us


@dataclass(frozen=True, slots=True)
class Closed:
    """Payments since the set-up whose window is over. `kept_amount`: of what failed of them,
    what came back; `our_amount`: the part of it that we claim."""

    payments: int
    recovered: int
    failed_amount: Decimal
    kept_amount: Decimal
    our_amount: Decimal

    @property
    def rate(self) -> Decimal:
        return percent(self.kept_amount, self.failed_amount)

    @property
    def our_rate(self) -> Decimal:
        return percent(self.our_amount, self.failed_amount)


@dataclass(frozen=True, slots=True)
class History:
    """Payments that were over before the set-up."""

    failed: int
    recovered: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Summary:
    """Since the set-up and of all time, unless the name says otherwise. Rates in percent, 0 to 100;
    amounts in dollars, net of refunds and disputes.

    `first_day`: of the first failure since the set-up.
    """

    failed: int
    recovered: Split
    this_month: Split
    closed: Closed
    history: History
    at_risk_amount: Decimal
    unconverted: int
    first_day: date | None
    currency: str
    as_of: datetime

    recovered_payments: int

    @property
    def total_failed(self) -> int:
        """As the next three, for REST: the history included."""
        return self.failed + self.history.failed

    @property
    def total_recovered(self) -> int:
        return self.recovered_payments + self.history.recovered

    @property
    def recovery_rate(self) -> Decimal:
        """By number, of all that ever failed."""
        return percent(self.total_recovered, self.total_failed)

    @property
    def recovered_amount(self) -> Decimal:
        return self.recovered.total + self.history.amount


@dataclass(frozen=True, slots=True)
class ClosedSums:
    """Of payments whose window is over and whose dollars are known: what failed (x), what was kept
    of it (y), and the sums of x², xy and y²."""

    x: Decimal = NO_MONEY
    y: Decimal = NO_MONEY
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def __add__(self, other: ClosedSums) -> ClosedSums:
        squares = (self.xx + other.xx, self.xy + other.xy, self.yy + other.yy)
        return ClosedSums(self.x + other.x, self.y + other.y, *squares)


@dataclass(frozen=True, slots=True)
class Paid:
    """Recovered money before anything was given back, and the sum of the amounts' squares."""

    amount: Decimal = NO_MONEY
    squares: float = 0.0

    def __add__(self, other: Paid) -> Paid:
        return Paid(self.amount + other.amount, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Day:
    """One local day since the set-up, in dollars: `failed` and `closed` by day of failure,
    `recovered` and `paid` by day of payment."""

    day: date
    failed: Decimal = NO_MONEY
    recovered: Split = Split()
    failures: int = 0
    closed: ClosedSums = ClosedSums()
    paid: Paid = Paid()
