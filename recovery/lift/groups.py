"""Members helped and members left to Whop alone, as sums. Pure; shares are 0 to 1.

The holdout is drawn by member (`RecoverySettings.holds_out`), so the member is the unit. Several
payments of one member share a card and a bank account, and counting each would make an interval
too narrow. Therefore only the first payment of each member counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Money:
    """Sums over members whose payment has a dollar value. `x`: what failed; `y`: what was recovered
    of it, net of refunds."""

    members: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def __add__(self, other: Money) -> Money:
        return Money(
            self.members + other.members,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def squares_around(self, share: float) -> float:
        """Rounding could make a sum of squares near zero slightly negative."""
        return max(self.yy - 2 * share * self.xy + share**2 * self.xx, 0.0)


@dataclass(frozen=True, slots=True)
class Group:
    """Members whose first payment's window has ended. `claimed`: of those recovered, the ones that
    we claim."""

    members: int = 0
    recovered: int = 0
    money: Money = Money()
    claimed: int = 0

    @property
    def rate(self) -> float:
        return self.recovered / self.members

    def __add__(self, other: Group) -> Group:
        return Group(
            self.members + other.members,
            self.recovered + other.recovered,
            self.money + other.money,
            self.claimed + other.claimed,
        )


@dataclass(frozen=True, slots=True)
class Stratum:
    """Members drawn in one month with one share of the holdout, which is above 0 and below 1."""

    share: float
    treated: Group
    held_out: Group


@dataclass(frozen=True, slots=True)
class Interval:
    """What is gained with our help, with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Effect:
    """The mean of one value for each member, whose expectation is the gain; and its variance."""

    members: int
    mean: float
    variance: float


def limit_proportion(a: float, m: float) -> tuple[float, float]:
    """Wilson's score limits: (2a + z^2 -+ z sqrt(z^2 + 4a(1 - a/m))) / (2(m + z^2))."""
    middle, reach = 2 * a + Z**2, Z * sqrt(Z**2 + 4 * a * (1 - a / m))
    return (middle - reach) / (2 * (m + Z**2)), (middle + reach) / (2 * (m + Z**2))
