"""Now and then another hour that is as good, so that it can be learned which is better. Pure.

Without it, all payments of a kind are charged at the same hour, and nothing can be told of any
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recovery.retrying.context import Retry, Why

# Of the charges for which there is a choice.
SHARE = 0.2


def explore(
    chosen: datetime, why: tuple[Why, ...], others: Sequence[datetime], drawn: float
) -> Retry:
    """`drawn`: from 0 to 1. Each of the others has the same chance; the hour that the policy chose
    has what is left."""
    if not others:
        return Retry(chosen, why, ((chosen, 1.0),))
    each = SHARE / (len(others) + 1)
    possible = ((chosen, 1 - each * len(others)), *((other, each) for other in others))
    number = int((1 - drawn) / each)
    if number >= len(others):
        return Retry(chosen, why, possible)
    return Retry(others[number], (*why, Why.EXPLORED), possible)
