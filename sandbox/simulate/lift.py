"""`python -m sandbox.simulate.lift`: whether the lift tells the truth to those who look every day.

Made-up creators whose recovery drifts and whose holdout's share changes midway, read by the very
code that the pages use. Without any effect, how many are ever told of one; with eight points, how
soon fifty creators together find them, and whether the interval holds them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import sqrt
from random import Random

from recovery.lift.comparison import MIN_MEMBERS
from recovery.lift.effects import NO_EFFECT, estimate_by_number, find_boundary
from recovery.lift.groups import Effect, Group, Stratum
from recovery.lift.pooling import PooledLift, pool

# A creator of 600 members at a decline rate of 10 %; the field's total recovery without our help.
A_DAY, BASE = 42 / 30, 0.4
SHARES = (0.10, 0.25)
MONTH = 30


@dataclass
class Creator:
    """`effect`: what our help adds, 0 to 1. What comes back by itself drifts by the day."""

    random: Random
    effect: float
    days: int
    strata: list[Stratum] = field(default_factory=list)
    over: Effect = NO_EFFECT
    told: bool = False

    def live(self, day: int) -> None:
        share = SHARES[0] if day < self.days / 2 else SHARES[1]
        if day % MONTH == 0 or not self.strata or self.strata[-1].share != share:
            self.over = self.read()
            self.strata.append(Stratum(share, Group(), Group()))
        month = self.strata[-1]
        drift = 0.1 * day / self.days
        treated, held_out = month.treated, month.held_out
        for _ in range(draw_number(self.random, A_DAY)):
            alone = self.random.random() < share
            chance = BASE + drift + (0 if alone else self.effect)
            one = Group(1, int(self.random.random() < chance))
            treated, held_out = (treated, held_out + one) if alone else (treated + one, held_out)
        self.strata[-1] = Stratum(share, treated, held_out)

    def read(self) -> Effect:
        """The months before are not read again."""
        if not self.strata or not count(self.strata[-1]):
            return self.over
        return combine(self.over, estimate_by_number(self.strata[-1:]))

    def look(self) -> Effect:
        effect = self.read()
        if not self.told and self.is_enough():
            self.told = abs(effect.mean) > sqrt(effect.variance) * find_boundary(effect.members)
        return effect

    def is_enough(self) -> bool:
        groups = ([one.treated for one in self.strata], [one.held_out for one in self.strata])
        return all(sum(group.members for group in arm) >= MIN_MEMBERS for arm in groups)


def count(stratum: Stratum) -> int:
    return stratum.treated.members + stratum.held_out.members


def combine(one: Effect, other: Effect) -> Effect:
    members = one.members + other.members
    mean = (one.members * one.mean + other.members * other.mean) / members
    squares = sum(each.members * (each.variance + each.mean**2) for each in (one, other))
    return Effect(members, mean, squares / members - mean**2)


def draw_number(random: Random, expected: float) -> int:
    """Poisson."""
    number, at = 0, random.expovariate(expected)
    while at < 1:
        number, at = number + 1, at + random.expovariate(expected)
    return number


def watch(creators: Sequence[Creator], days: int) -> Iterator[PooledLift | None]:
    """What all together are told each day."""
    for day in range(days):
        effects = []
        for creator in creators:
            creator.live(day)
            effects.append(creator.look())
        yield pool(effects)


@dataclass(frozen=True)
class NoEffect:
    """`told`: of the creators, how many were ever told of an effect by their own figures;
    `together`: whether all were by the pooled ones."""

    companies: int
    told: int
    together: bool


def try_without_effect(companies: int, days: int, seed: int) -> NoEffect:
    creators = [Creator(Random(f"{seed}/{one}"), 0.0, days) for one in range(companies)]
    together = False
    for pooled in watch(creators, days):
        together |= pooled is not None and not pooled.gain.low <= 0 <= pooled.gain.high
    return NoEffect(companies, sum(creator.told for creator in creators), together)


@dataclass(frozen=True)
class WithEffect:
    """Over many seeds: how often it was found within the time, and how often the interval held the
    truth on every day."""

    seeds: int
    found: int
    held: int
    reach: float


def try_with_effect(seeds: int, companies: int, days: int, effect: float) -> WithEffect:
    found = held = 0
    reach = 0.0
    for seed in range(seeds):
        creators = [Creator(Random(f"{seed}/{one}"), effect, days) for one in range(companies)]
        looks = [one.gain for one in watch(creators, days) if one is not None]
        found += any(look.low > 0 for look in looks)
        held += all(look.low <= effect <= look.high for look in looks)
        reach += (looks[-1].high - looks[-1].low) / 2 if looks else 1.0
    return WithEffect(seeds, found, held, reach / seeds)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.simulate.lift", description=__doc__)
    parser.add_argument("--companies", type=int, default=2_000, help="without an effect")
    parser.add_argument("--days", type=int, default=730, help="looked at each day")
    parser.add_argument("--seeds", type=int, default=200, help="of fifty companies, for a year")
    chosen = parser.parse_args(arguments)
    none = try_without_effect(chosen.companies, chosen.days, seed=1)
    lines = [
        f"No effect: {none.told} of {none.companies} creators "
        f"({100 * none.told / none.companies:.1f} %) were ever told of one in {chosen.days} days "
        f"of looking; all together: {'yes' if none.together else 'no'}."
    ]
    some = try_with_effect(chosen.seeds, companies=50, days=365, effect=0.08)
    lines.append(
        f"Eight points, fifty creators: found within a year with {some.found} of {some.seeds} "
        f"seeds; the interval held them on every day with {some.held}; at the end it reached "
        f"{100 * some.reach:.1f} points to each side."
    )
    print("\n".join(lines))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
