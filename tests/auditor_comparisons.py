"""The auditor's comparisons: members helped and left alone, and a period with the one before it.

Formulas are worked out anew, member by member, where the product has sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import log, sqrt
from statistics import fmean, pstdev

from tests.auditor import OURS, Books, Story, cents, tenth

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


def part_members(books: Books) -> tuple[Arm, Arm]:
    """The helped, and those left alone."""
    firsts: dict[str, Story] = {}
    for one in sorted(books.counted, key=lambda one: one.failed_at):
        if not one.imported and one.held_out is not None and one.member is not None:
            firsts.setdefault(one.member, one)
    over = [one for one in firsts.values() if one.window_ends_at <= books.now]
    helped = [one for one in over if not one.held_out]
    return Arm(helped), Arm([one for one in over if one.held_out])


def compare_shares(helped: Arm, alone: Arm) -> tuple[float, float, float]:
    """Each member's value is how far its outcome is above that of the others who were drawn in the
    same month with the same share, by the inverse of the chance to be drawn so."""
    everybody = [*helped.stories, *alone.stories]
    values = []
    for one in everybody:
        beside = [other for other in everybody if other is not one and draw(other) == draw(one)]
        above = was_paid(one) - (fmean(map(was_paid, beside)) if beside else was_paid(one))
        values.append(weigh(one, above))
    reach = pstdev(values) * reach_for(len(values))
    return fmean(values), fmean(values) - reach, fmean(values) + reach


def compare_money(helped: Arm, alone: Arm) -> tuple[float, float, float]:
    """The same of the dollars kept, against those that would be at everybody's share."""
    everybody = [*helped.stories, *alone.stories]
    share = sum(float(one.kept) for one in everybody) / sum(float(one.failed) for one in everybody)
    failed = fmean(float(one.failed) for one in everybody)
    values = [weigh(one, float(one.kept) - share * float(one.failed)) for one in everybody]
    values = [value / failed for value in values]
    reach = pstdev(values) * reach_for(len(values))
    return fmean(values), fmean(values) - reach, fmean(values) + reach


def draw(one: Story) -> tuple[object, ...]:
    return one.share, one.failed_at.year, one.failed_at.month


def was_paid(one: Story) -> int:
    return int(one.paid_at is not None)


def weigh(one: Story, above: float) -> float:
    assert one.share is not None
    return -above / one.share if one.held_out else above / (1 - one.share)


def reach_for(members: int) -> float:
    """Waudby-Smith and others 2024, theorem 2.2, tuned for 600 members: in standard deviations."""
    squared = (-2 * log(0.05) + log(-2 * log(0.05)) + 1) / 600
    inner = log(sqrt(members * squared + 1) / 0.05)
    return sqrt(2 * (members * squared + 1) / (members**2 * squared) * inner)


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
