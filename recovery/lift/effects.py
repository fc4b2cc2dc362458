"""What is gained by our help, by an interval that holds however often it is looked at. Pure.

Each member gives one value whose expectation is the gain. With y the outcome, p the holdout's share
at the draw, and m the mean of the others drawn in the same month with the same share, it is
(y - m) / (1 - p) for a member who was helped and -(y - m) / p for one held out: that holds whatever
m is, and however p was changed meanwhile (Horvitz and Thompson 1952).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log, sqrt

from recovery.lift.groups import Effect, Group, Interval, Money, Stratum

# The chance that the interval ever misses the truth, and the number of members at which it is to be
# narrowest.
ALPHA, TUNED_FOR = 0.05, 600
# Of nobody.
NO_EFFECT = Effect(0, 0.0, 0.0)


def find_boundary(members: int, alpha: float = ALPHA, tuned_for: float = TUNED_FOR) -> float:
    """By how many standard deviations of one value a mean may be off at this number of them, so
    that the chance of ever being further off, at any number, is `alpha` at most:

        sqrt(2 (t r^2 + 1) / (t^2 r^2) * ln(sqrt(t r^2 + 1) / alpha))

    with r chosen to be narrowest at `tuned_for`. It holds asymptotically.
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Time-uniform central limit theory and
    asymptotic confidence sequences, Annals of Statistics 52(6):2613-2640, theorem 2.2; r from its
    section on tuning: r^2 = (-2 ln alpha + ln(-2 ln alpha) + 1) / tuned_for.
    """
    tightness = -2 * log(alpha)
    times = members * (tightness + log(tightness) + 1) / tuned_for
    return sqrt(2 * (times + 1) / (members * times) * log(sqrt(times + 1) / alpha))


def bound(estimate: float, reach: float) -> Interval:
    return Interval(estimate, max(estimate - reach, -1.0), min(estimate + reach, 1.0))


def estimate_by_number(strata: Iterable[Stratum]) -> Effect:
    members, total, squares = 0, 0.0, 0.0
    for stratum in strata:
        one, other, p = stratum.treated, stratum.held_out, stratum.share
        size = one.members + other.members
        if not size:
            continue
        members += size
        mean = (one.recovered + other.recovered) / size
        # y minus the mean of the others is y minus the mean of all, times this.
        without = size / (size - 1) if size > 1 else 1.0
        total += without * (count_above(one, mean) / (1 - p) - count_above(other, mean) / p)
        around = square_around(one, mean) / (1 - p) ** 2 + square_around(other, mean) / p**2
        squares += without**2 * around
    if not members:
        return NO_EFFECT
    average = total / members
    return Effect(members, average, max(squares / members - average**2, 0.0))


def count_above(group: Group, mean: float) -> float:
    return group.recovered - group.members * mean


def square_around(group: Group, mean: float) -> float:
    missed = group.members - group.recovered
    return group.recovered * (1 - mean) ** 2 + missed * mean**2


def estimate_by_money(strata: Sequence[Stratum]) -> Interval:
    """With y what was kept of x dollars: y - R x in place of y - m, where R is the share kept of
    all; as a part of the dollars that failed."""
    whole = sum((stratum.treated.money + stratum.held_out.money for stratum in strata), Money())
    share, members = whole.y / whole.x, whole.members
    total = squares = 0.0
    for stratum in strata:
        one, other, p = stratum.treated.money, stratum.held_out.money, stratum.share
        total += (one.y - share * one.x) / (1 - p) - (other.y - share * other.x) / p
        squares += one.squares_around(share) / (1 - p) ** 2 + other.squares_around(share) / p**2
    average = total / members
    variance = max(squares / members - average**2, 0.0)
    failed = whole.x / members
    return bound(average / failed, sqrt(variance) * find_boundary(members) / failed)
