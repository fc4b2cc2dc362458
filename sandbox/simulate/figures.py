"""The figures that are compared, with bootstrap intervals. Each is a ratio of two sums.

The payments are resampled with replacement, and all policies use the same resamples. So the
interval of a difference depends only on the payments for which two policies differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul
from random import Random

from sandbox.simulate.trial import Case

# For each resample: how often each payment was drawn.
Weights = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Figure:
    """`part` over `whole`, each summed over the payments."""

    part: Callable[[Case], float]
    whole: Callable[[Case], float]

    def sums(self, cases: Sequence[Case]) -> Sums:
        return Sums([self.part(case) for case in cases], [self.whole(case) for case in cases])


@dataclass(frozen=True, slots=True)
class Sums:
    parts: Sequence[float]
    wholes: Sequence[float]

    def ratio(self, weights: Sequence[int] | None = None) -> float:
        """0 if the whole is 0."""
        if weights is None:
            part, whole = sum(self.parts), sum(self.wholes)
        else:
            part, whole = sum(map(mul, weights, self.parts)), sum(map(mul, weights, self.wholes))
        return part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def usd(case: Case) -> float:
    return float(case.usd)


def paid(case: Case) -> float:
    return float(case.paid_by is not None)


def by_us(case: Case) -> float:
    return float(case.paid_by == "retry")


RECOVERED = Figure(lambda case: usd(case) * paid(case), usd)
OURS = Figure(lambda case: usd(case) * by_us(case), usd)
CHARGES = Figure(lambda case: case.our_charges, paid)
CHARGES_OF_OURS = Figure(lambda case: case.our_charges, by_us)
MESSAGES = Figure(lambda case: case.messages, paid)
LEFT = Figure(lambda case: case.left, lambda case: 1)


def resample(random: Random, size: int, times: int) -> Weights:
    drawn = (Counter(random.choices(range(size), k=size)) for _ in range(times))
    return [[counts[number] for number in range(size)] for counts in drawn]


def estimate(sums: Sums, weights: Weights) -> Estimate:
    return spread(sums.ratio(), [sums.ratio(row) for row in weights])


def compare(sums: Sums, with_sums: Sums, weights: Weights) -> Estimate:
    """The second ratio minus the first."""
    differences = [with_sums.ratio(row) - sums.ratio(row) for row in weights]
    return spread(with_sums.ratio() - sums.ratio(), differences)


def spread(value: float, resampled: Sequence[float]) -> Estimate:
    """The middle 95 % of the resampled values."""
    ordered = sorted(resampled)
    cut = round(len(ordered) * 0.025)
    return Estimate(value, ordered[cut], ordered[-1 - cut])
