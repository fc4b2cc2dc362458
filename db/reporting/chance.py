"""What may be chance is not called a difference. Pure; shares are 0 to 1.

Of pages on which nothing differs at most 1 in 20 says that something does, whatever is compared and
however few payments there are: the bounds below hold exactly and not only for large numbers. All
are Hoeffding's (1963, Probability inequalities for sums of bounded random variables, Journal of the
American Statistical Association 58:13-30). They are for one look; who looks every day sees more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

from recovery.lift.groups import limit_proportion

FALSE_CALLS = 0.05


def differs(part: float, expected: float, squares: float, comparisons: int) -> bool:
    """Whether a part of a sum is further from what it should be than chance explains.

    Each term of the sum falls into the part by chance, independent of its size; `squares` is the
    sum of the terms' squares. Hoeffding's theorem 2: a part is further than t from what is expected
    with probability 2 exp(-2 t^2 / squares) at most. `comparisons`: how many one page makes.
    """
    return (part - expected) ** 2 > squares * log(2 * comparisons / FALSE_CALLS) / 2


def stands_out(part: int, whole: int, all_parts: int, everything: int, comparisons: int) -> bool:
    """Whether a group's share, part of whole, is further from the share of all, the group included,
    than chance explains.

    Hoeffding's theorem 1 with section 6, for a group that is drawn out of all without replacement:
    a share p or one still further off has the probability exp(-n KL(p, q)) at most, where q is the
    share of all and KL(p, q) = p log(p/q) + (1 - p) log((1 - p)/(1 - q)).
    """
    p, q = part / whole, all_parts / everything
    divergence = weigh(p, q) + weigh(1 - p, 1 - q)
    return whole * divergence > log(2 * comparisons / FALSE_CALLS)


def weigh(p: float, q: float) -> float:
    return p * log(p / q) if p > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A group's share, drawn towards the share of all as far as the group is small, with its 95 %
    interval."""

    share: float
    low: float
    high: float


def shrink(groups: Sequence[tuple[int, int]]) -> list[Estimate]:
    """Of groups (part, whole) that have at least one payment each.

    A beta-binomial model, its prior estimated by moments (Kleinman 1973, Journal of the American
    Statistical Association 68:46-54): groups that differ no more than chance makes them differ are
    all taken for the same. The prior counts like further payments with the share of all: one at
    least, and at most as many as there are.
    """
    part, whole = sum(one for one, _ in groups), sum(all_ for _, all_ in groups)
    if not whole:
        return []
    weight = min(weigh_prior(groups, part, whole), whole)
    prior = weight * part / whole
    return [estimate(one + prior, all_ + weight) for one, all_ in groups]


def estimate(part: float, whole: float) -> Estimate:
    low, high = limit_proportion(part, whole)
    return Estimate(part / whole, low, high)


def weigh_prior(groups: Sequence[tuple[int, int]], part: int, whole: int) -> float:
    """How many payments the share of all is worth; infinite where no difference is seen."""
    share = part / whole
    spread = sum(all_ * (one / all_ - share) ** 2 for one, all_ in groups)
    free = len(groups) - 1
    room = whole - sum(all_**2 for _, all_ in groups) / whole - free
    if not 0 < share < 1 or room <= 0:
        return inf
    correlation = (spread / (share * (1 - share)) - free) / room
    return inf if correlation <= 0 else max(1 / correlation - 1, 1.0)
