"""The auditor's comparisons: members helped and left alone, and a period with the one before it.

Formulas are worked out anew, by other means than the product's: limits by halving, variances from
each member's own distance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import sqrt
from statistics import NormalDist, fmean

from tests.auditor import OURS, Books, Story, cents, tenth

Z = NormalDist().inv_cdf(0.975)


# --- helped, and left alone ----------------------------------------------------------------------


@dataclass(frozen=True)
class Arm:
    """Each member's first payment, where its five days are over."""

    stories: Sequence[Story]

    @property
    def paid(self) -> int:
        return sum(one.paid_at is not None for one in self.stories)

    @property
    def claimed(self) -> int:
        return sum(one.paid_at is not None and one.said in OURS for one in self.stories)

    @property
    def share(self) -> float:
        return self.paid / len(self.stories)

    def limit(self, sign: int) -> float:
        """The share that lies just so far away that chance explains it."""
        n, near, far = len(self.stories), self.share, float(sign > 0)
        for _ in range(60):
            middle = (near + far) / 2
            explained = abs(self.share - middle) <= Z * sqrt(middle * (1 - middle) / n)
            near, far = (middle, far) if explained else (near, middle)
        return near

    def weigh(self) -> tuple[float, float]:
        """The kept share of the money, and its variance."""
        failed = [float(one.failed) for one in self.stories]
        kept = [float(one.kept) for one in self.stories]
        share, n = sum(kept) / sum(failed), len(failed)
        apart = [(y - share * x) / fmean(failed) for x, y in zip(failed, kept, strict=True)]
        return share, sum(one * one for one in apart) / (n - 1) / n


def part_members(books: Books) -> tuple[Arm, Arm]:
    """The helped, and those left alone."""
    firsts: dict[str, Story] = {}
    for one in sorted(books.counted, key=lambda one: one.failed_at):
        if not one.imported and one.held_out is not None and one.member is not None:
            firsts.setdefault(one.member, one)
    over = [one for one in firsts.values() if one.window_ends_at <= books.now]
    return Arm([one for one in over if not one.held_out]), Arm([o for o in over if o.held_out])


def compare_shares(helped: Arm, alone: Arm) -> tuple[float, float, float]:
    gain = helped.share - alone.share
    low = sqrt((helped.share - helped.limit(-1)) ** 2 + (alone.limit(1) - alone.share) ** 2)
    high = sqrt((helped.limit(1) - helped.share) ** 2 + (alone.share - alone.limit(-1)) ** 2)
    return gain, gain - low, gain + high


def compare_money(helped: Arm, alone: Arm) -> tuple[float, float, float]:
    (one, varies), (other, differs) = helped.weigh(), alone.weigh()
    reach = Z * sqrt(varies + differs)
    return one - other, one - other - reach, one - other + reach


# --- a period, and the one before it -------------------------------------------------------------


def is_between(first: date, until: date) -> Callable[[date], bool]:
    return lambda day: first <= day < until


def count_failures_before(books: Books) -> int:
    """In the thirty days before the last thirty, up to the same time of day."""
    today, wall = books.today, books.now.astimezone(books.zone).replace(tzinfo=None)

    def has_come(one: Story) -> bool:
        there = one.failed_at.astimezone(books.zone).replace(tzinfo=None)
        return there <= wall - timedelta(days=30)

    within = is_between(today - timedelta(days=59), today - timedelta(days=29))
    return sum(has_come(one) for one in books.failed_on(within))


def list_spans(books: Books) -> list[tuple[Decimal, Decimal]]:
    """Failed and kept money of ten times six days; of them all five days are over."""
    end = books.today - timedelta(days=5)
    spans = []
    for number in range(10):
        first = end - timedelta(days=60 - 6 * number)
        chosen = books.failed_on(is_between(first, first + timedelta(days=6)))
        failed = sum((one.failed for one in chosen), Decimal(0))
        spans.append((failed, sum((one.kept for one in chosen), Decimal(0))))
    return spans


def compare_rates(books: Books) -> tuple[Decimal, Decimal]:
    """In percent: of the newer five spans, and of the older."""
    spans = list_spans(books)

    def rate(chosen: Sequence[tuple[Decimal, Decimal]]) -> Decimal:
        failed, kept = (sum(column, Decimal(0)) for column in zip(*chosen, strict=True))
        return tenth(100 * kept, failed)

    return rate(spans[5:]), rate(spans[:5])


def compare_months(books: Books) -> tuple[Decimal, Decimal]:
    """What was paid this month and, by the same time, in the one before; before refunds."""
    wall = books.now.astimezone(books.zone).replace(tzinfo=None)
    first = datetime.combine(wall.date().replace(day=1), time())
    before = (first - timedelta(days=1)).replace(day=1)

    def add(begin: datetime, end: datetime) -> Decimal:
        paid = Decimal(0)
        for one in books.recovered:
            assert one.paid_at
            there = one.paid_at.astimezone(books.zone).replace(tzinfo=None)
            paid += one.paid if begin <= there < end else 0
        return cents(paid)

    return add(first, wall + timedelta(seconds=1)), add(before, min(before + (wall - first), first))
