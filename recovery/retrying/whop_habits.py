"""How Whop has been seen to treat payments: how long it waits between its own tries, and how many
retries of ours it allows. Whop documents neither. Pure.

They are observed by company and kind of payment method, since processors differ and Whop does not
name the processor of a payment.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

OBSERVED_FOR = timedelta(days=30)
# With fewer, nothing is known.
LEAST_OBSERVATIONS = 20
LEAST_MEMBERS = 5
# Below this it is no plan.
LEAST_GAP = timedelta(hours=1)
# Above this share, nearly all: a member may have left meanwhile.
NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class WhopHabits:
    """None: not known. `gap`: the usual time between two of Whop's own tries. `retries`: how many
    of ours it allows; 2 means two at least."""

    gap: timedelta | None = None
    retries: int | None = None


UNKNOWN_HABITS = WhopHabits()


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two of Whop's own tries of one payment, with no charge of ours between them."""

    member: str
    length: timedelta


@dataclass(frozen=True, slots=True)
class Answer:
    """After our first retry of a payment was declined: whether Whop would allow another."""

    member: str
    retryable: bool


def observe(gaps: Collection[Gap], answers: Collection[Answer]) -> WhopHabits:
    return WhopHabits(find_gap(gaps), count_allowed(answers))


def find_gap(gaps: Collection[Gap]) -> timedelta | None:
    """The median, so that one odd payment does not decide."""
    if not suffices([gap.member for gap in gaps]):
        return None
    usual = timedelta(seconds=median(gap.length.total_seconds() for gap in gaps))
    return usual if usual >= LEAST_GAP else None


def count_allowed(answers: Collection[Answer]) -> int | None:
    """None, too, where Whop answers now so and now so."""
    if not suffices([answer.member for answer in answers]):
        return None
    share = sum(answer.retryable for answer in answers) / len(answers)
    if share >= NEARLY_ALL:
        return 2
    return 1 if share <= 1 - NEARLY_ALL else None


def suffices(members: Collection[str]) -> bool:
    return len(members) >= LEAST_OBSERVATIONS and len(set(members)) >= LEAST_MEMBERS
