"""What our work adds: treated members compared with the holdout. Pure; shares are 0 to 1.

The holdout is drawn by member (`RecoverySettings.holds_out`), so the member is the unit. Several
payments of one member share a card and a bank account, and counting each would make the interval
too narrow. Therefore only the first payment of each member counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

# Fewest members in each group: with fewer, the interval is too wide to be useful.
MIN_MEMBERS = 30
Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Money:
    """Sums over members whose payment has a dollar value. `x`: what failed; `y`: what was recovered
    of it, net of refunds."""

    members: int
    x: float
    y: float
    xx: float
    xy: float
    yy: float

    @property
    def share(self) -> float:
        return self.y / self.x


@dataclass(frozen=True, slots=True)
class Group:
    """Members whose first payment's window has ended. `claimed`: of those recovered, the ones that
    we claim."""

    members: int
    recovered: int
    money: Money
    claimed: int = 0

    @property
    def rate(self) -> float:
        return self.recovered / self.members


@dataclass(frozen=True, slots=True)
class Interval:
    """The difference treated minus held out, with its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Lift:
    """`by_money` is None where no honest interval can be given (see `subtract_shares`)."""

    treated: Group
    held_out: Group
    by_number: Interval
    by_money: Interval | None

    @property
    def unneeded(self) -> Interval | None:
        """The part of what we claim that would have come anyway, 0 to 1: what we add for each
        member, of what we claim for each. None: too little is claimed to tell.

        Only the uncertainty of what we add is in it, which is by far the larger one.
        """
        if self.treated.claimed < MIN_MEMBERS:
            return None
        claimed, gain = self.treated.claimed / self.treated.members, self.by_number
        parts = (1 - added / claimed for added in (gain.estimate, gain.high, gain.low))
        return Interval(*(min(max(part, 0.0), 1.0) for part in parts))


@dataclass(frozen=True, slots=True)
class NotEnoughData:
    """How many more members with an ended window each group needs."""

    treated_missing: int
    held_out_missing: int


def compare(treated: Group, held_out: Group) -> Lift | NotEnoughData:
    missing = NotEnoughData(
        max(MIN_MEMBERS - treated.members, 0),
        max(MIN_MEMBERS - held_out.members, 0),
    )
    if missing.treated_missing or missing.held_out_missing:
        return missing
    return Lift(
        treated,
        held_out,
        by_number=subtract_proportions(
            treated.recovered, treated.members, held_out.recovered, held_out.members
        ),
        by_money=subtract_shares(treated.money, held_out.money),
    )


def subtract_proportions(a: int, m: int, b: int, n: int) -> Interval:
    """a/m - b/n with Newcombe's hybrid score interval, without a continuity correction.

    With Wilson's limits (l1, u1) of p1 = a/m and (l2, u2) of p2 = b/n it reaches

        from (p1 - p2) - sqrt((p1 - l1)^2 + (u2 - p2)^2)
        to   (p1 - p2) + sqrt((u1 - p1)^2 + (p2 - l2)^2)

    Newcombe 1998, Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17:873-890, method 10.
    """
    p1, p2 = a / m, b / n
    (l1, u1), (l2, u2) = limit_proportion(a, m), limit_proportion(b, n)
    low = p1 - p2 - sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2)
    high = p1 - p2 + sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)
    return Interval(p1 - p2, max(low, -1.0), min(high, 1.0))


def limit_proportion(a: float, m: float) -> tuple[float, float]:
    """Wilson's score limits: (2a + z^2 -+ z sqrt(z^2 + 4a(1 - a/m))) / (2(m + z^2))."""
    middle, reach = 2 * a + Z**2, Z * sqrt(Z**2 + 4 * a * (1 - a / m))
    return (middle - reach) / (2 * (m + Z**2)), (middle + reach) / (2 * (m + Z**2))


def subtract_shares(one: Money, other: Money) -> Interval | None:
    """Difference of recovered shares of money, with the linearized variance of a ratio.

    In each group the share R = sum y / sum x has the variance

        n / (n - 1) * sum (y - R x)^2 / (sum x)^2

    (Cochran 1977, Sampling Techniques, 3rd edition, section 6.4, without the finite population's
    correction), and the interval is the normal one, which needs large groups. None where a group is
    small, or where nobody or everybody in it paid in full: the interval would look too certain.
    """
    if min(one.members, other.members) < MIN_MEMBERS or one.x <= 0 or other.x <= 0:
        return None
    if any(money.share <= 0 or money.share >= 1 for money in (one, other)):
        return None
    reach = Z * sqrt(find_variance(one) + find_variance(other))
    estimate = one.share - other.share
    return Interval(estimate, max(estimate - reach, -1.0), min(estimate + reach, 1.0))


def find_variance(money: Money) -> float:
    n, share = money.members, money.share
    # Rounding could make a sum of squares near zero slightly negative.
    squares = max(money.yy - 2 * share * money.xy + share**2 * money.xx, 0.0)
    return n / (n - 1) * squares / money.x**2
