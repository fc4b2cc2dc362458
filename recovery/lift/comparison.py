"""What our work adds, once enough is known to say so. Pure; shares are 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from recovery.lift.effects import (
    bound,
    estimate_by_money,
    estimate_by_number,
    find_boundary,
)
from recovery.lift.groups import Effect, Group, Interval, Stratum

# Fewest members in each group: with fewer, the interval is too wide to be useful.
MIN_MEMBERS = 30
# Sums of money vary more, so the interval would look too certain with fewer than this held out.
MIN_MEMBERS_FOR_MONEY = 100


@dataclass(frozen=True, slots=True)
class Lift:
    """`by_money` is None with few members held out. `effect`: by number, to be pooled."""

    treated: Group
    held_out: Group
    by_number: Interval
    by_money: Interval | None
    effect: Effect

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


def compare(strata: Sequence[Stratum]) -> Lift | NotEnoughData:
    treated = sum((stratum.treated for stratum in strata), Group())
    held_out = sum((stratum.held_out for stratum in strata), Group())
    missing = NotEnoughData(
        max(MIN_MEMBERS - treated.members, 0),
        max(MIN_MEMBERS - held_out.members, 0),
    )
    if missing.treated_missing or missing.held_out_missing:
        return missing
    effect = estimate_by_number(strata)
    reach = sqrt(effect.variance) * find_boundary(effect.members)
    by_money = estimate_by_money(strata) if may_tell_money(treated, held_out) else None
    return Lift(treated, held_out, bound(effect.mean, reach), by_money, effect)


def may_tell_money(treated: Group, held_out: Group) -> bool:
    """Not where all or nothing was paid in either group: the interval would look too certain."""
    both = (treated.money, held_out.money)
    if min(money.members for money in both) < MIN_MEMBERS_FOR_MONEY:
        return False
    return all(0 < money.y < money.x for money in both)
