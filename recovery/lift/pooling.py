"""What creators gain together, and how one creator compares with the others. Pure.

Few creators have enough members to learn their own gain within a year. Together they do, and each
learns what creators like them gain. No figure here can be traced to a company: from ten companies
on, and none of them weighs more than a quarter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from recovery.lift.effects import bound, find_boundary
from recovery.lift.groups import Effect, Interval

LEAST_COMPANIES = 10
# Of a company: of fewer its variance is not known either.
LEAST_MEMBERS = 50
MOST_WEIGHT = 0.25
# Members of all together at which the interval is to be narrowest.
TUNED_FOR = 5_000


@dataclass(frozen=True, slots=True)
class PooledLift:
    """`gain`: of an average company. `between`: the variance of the companies' true gains."""

    companies: int
    members: int
    gain: Interval
    between: float


class Standing(StrEnum):
    """How a company's own gain compares with the others'."""

    FITS = "fits"
    ABOVE = "above"
    BELOW = "below"


def pool(effects: Sequence[Effect]) -> PooledLift | None:
    """None: too few companies.

    Each weighs by its members, none above MOST_WEIGHT: by its variance, as is usual, a small
    company that was lucky would weigh most. Their true gains may differ; that variance is
    DerSimonian and Laird's (1986, Controlled Clinical Trials 7:177-188). The interval is that of a
    mean, made wider so that it holds however often it is looked at.
    """
    known = [one for one in effects if one.members >= LEAST_MEMBERS and one.variance > 0]
    if len(known) < LEAST_COMPANIES:
        return None
    between = find_variance_between(known)
    weights = cap_weights([effect.members for effect in known])
    gain = sum(weight * effect.mean for weight, effect in zip(weights, known, strict=True))
    pairs = zip(weights, known, strict=True)
    error = sqrt(sum(weight**2 * (find_error(effect) + between) for weight, effect in pairs))
    members = sum(effect.members for effect in known)
    reach = error * sqrt(members) * find_boundary(members, tuned_for=TUNED_FOR)
    return PooledLift(len(known), members, bound(gain, reach), between)


def find_error(effect: Effect) -> float:
    """The variance of a company's mean."""
    return effect.variance / effect.members


def find_variance_between(effects: Sequence[Effect]) -> float:
    weights = [1 / find_error(effect) for effect in effects]
    whole = sum(weights)
    means = [effect.mean for effect in effects]
    middle = sum(w * mean for w, mean in zip(weights, means, strict=True)) / whole
    apart = sum(w * (mean - middle) ** 2 for w, mean in zip(weights, means, strict=True))
    scale = whole - sum(weight**2 for weight in weights) / whole
    return max((apart - (len(effects) - 1)) / scale, 0.0)


def cap_weights(weights: Sequence[float]) -> list[float]:
    """In proportion, adding up to 1, none above MOST_WEIGHT."""
    capped: set[int] = set()
    while True:
        free = sum(weight for number, weight in enumerate(weights) if number not in capped)
        left = 1 - MOST_WEIGHT * len(capped)
        shares = [
            MOST_WEIGHT if number in capped else left * weight / free
            for number, weight in enumerate(weights)
        ]
        above = {number for number, share in enumerate(shares) if share > MOST_WEIGHT + 1e-12}
        if not above:
            return shares
        capped |= above


def shrink(own: Effect, pooled: PooledLift) -> float:
    """The company's likely gain: its own, drawn to the others' by as much as it is uncertain."""
    trust = pooled.between / (pooled.between + find_error(own))
    return trust * own.mean + (1 - trust) * pooled.gain.estimate


def place(own: Interval, pooled: PooledLift) -> Standing:
    """Above or below only where the company's own interval lies wholly beyond the others' gain."""
    if own.low > pooled.gain.estimate:
        return Standing.ABOVE
    return Standing.BELOW if own.high < pooled.gain.estimate else Standing.FITS
