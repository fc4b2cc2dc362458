"""The sentences of the insights page: each chart's figures in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.data.insights import Curve
from dashboard.text.groups import PLURALS, format_range, name_payments, name_step
from db.reporting.chance import Estimate, shrink, stands_out
from db.reporting.cohorts import Dimension
from db.reporting.groups import Group
from db.reporting.insights import WINDOW_HOURS, Hour, StepCount, Try
from recovery.status import Channel
from recovery.wording import FEW, Period, count, format_percent, format_share, format_usd

# Of groups, on one part of the page at most.
CHARTS = 3


def format_part(part: int, whole: int) -> str:
    """`61 (62%)`, where the whole stands beside it."""
    return f"{part:,}" if whole < FEW else f"{part:,} ({format_percent(part, whole)})"


def describe_whole(whole: Group, period: Period) -> str:
    if not whole.closed + whole.newer:
        return "No failed payments here."
    newer = (
        f" {count(whole.newer, 'payment')} failed in the last five days and "
        f"{'is' if whole.newer == 1 else 'are'} not counted below: {describe_newer(whole)}."
        if whole.newer
        else ""
    )
    unvalued = (
        f" {count(whole.unconverted, 'payment has', 'payments have')} no dollar value: counted, "
        "but not in the amounts."
        if whole.unconverted
        else ""
    )
    return (
        f"{period.label}: {count(whole.closed, 'failed payment')} with a final result, "
        f"{format_part(whole.recovered, whole.closed)} recovered, "
        f"{format_usd(whole.recovered_amount)} of {format_usd(whole.failed_amount)}.{newer}"
        f"{unvalued}"
    )


def describe_newer(group: Group) -> str:
    """`120 recovered, 84 not recovered, 11 open`: what has become of them so far."""
    return (
        f"{group.newer_recovered:,} recovered, {group.newer_lost:,} not recovered, "
        f"{group.newer_open:,} open"
    )


def compare(groups: Sequence[Group]) -> list[Estimate | None]:
    """Of each group, in their order. None: nothing of it is closed."""
    closed = [(group.recovered, group.closed) for group in groups if group.closed]
    found = iter(shrink(closed))
    return [next(found) if group.closed else None for group in groups]


def describe_extremes(groups: Sequence[Group], dimension: Dimension) -> str:
    """Names a group only where chance does not explain how it differs from all together."""
    large = [group for group in groups if group.closed >= FEW]
    if len(large) < 2:
        return (
            f"Not enough data to compare {PLURALS[dimension]} yet: that takes two with {FEW} "
            "payments with a final result."
        )
    whole = sum(group.recovered for group in groups), sum(group.closed for group in groups)
    apart = [
        (one, group)
        for one, group in zip(compare(groups), groups, strict=True)
        if one is not None and group in large and stands_apart(group, *whole, len(large))
    ]
    share = whole[0] / whole[1]
    most = max((one for one in apart if one[0].share > share), default=None, key=rank)
    least = min((one for one in apart if one[0].share < share), default=None, key=rank)
    together = f"All together: {format_share(*whole)}."
    if most is None and least is None:
        return f"The {PLURALS[dimension]} differ no more than chance explains. {together}"
    said = [
        f"{words}: {name_payments(dimension, found[1].key)}, likely {format_range(found[0])}."
        for words, found in (("Recovered more often", most), ("Less often", least))
        if found is not None
    ]
    return " ".join([*said, together])


def rank(found: tuple[Estimate, Group]) -> float:
    return found[0].share


def stands_apart(group: Group, recovered: int, closed: int, groups: int) -> bool:
    return stands_out(group.recovered, group.closed, recovered, closed, CHARTS * groups)


def describe_tries(tries: Sequence[Try]) -> str:
    later = [one for one in tries if one.number > 1]
    if not later:
        return "No payment has been tried a second time yet."
    first, second = tries[0], later[0]
    ours = sum(one.paid_by_us for one in later)
    paid = second.paid_by_us + second.paid_otherwise
    return (
        f"{second.made:,} of {count(first.made, 'failed payment')} were tried again. Try "
        f"{second.number} was paid in {format_share(paid, second.made)}. Our retries recovered "
        f"{ours:,} in total."
    )


def describe_curve(curve: Curve) -> str:
    recovered = sum(add_up(hour) for hour in curve.hours)
    if not recovered:
        return "None of the payments with a final result has been recovered yet."
    day = sum(add_up(hour) for hour in curve.hours if hour.hour < 24)
    late = sum(add_up(hour) for hour in curve.hours if hour.hour >= WINDOW_HOURS)
    after = f", {late:,} of them after the deadline" if late else ""
    return (
        f"{format_share(day, curve.watched)} were paid within a day, "
        f"{format_share(recovered, curve.watched)} in the end{after}. Half of the recovered "
        f"payments took {describe_median(curve)}."
    )


def add_up(hour: Hour) -> int:
    return hour.by.total


def describe_median(curve: Curve) -> str:
    half, seen = sum(add_up(hour) for hour in curve.hours) / 2, 0
    for hour in curve.hours:
        seen += add_up(hour)
        if seen >= half:
            if hour.hour >= WINDOW_HOURS:
                return "more than five days"
            return f"{count(hour.hour + 1, 'hour')} or less"
    return "no time"


def describe_steps(steps: Sequence[StepCount]) -> str:
    if not steps:
        return "No messages were sent about these payments."
    first = max(steps, key=lambda one: one.sent)
    opened = (
        f" {format_share(first.opened, first.sent)} were opened"
        f" and {format_share(first.clicked, first.sent)} clicked."
        if first.channel == Channel.EMAIL
        else ""
    )
    return (
        f"Sent most often: {name_step(first)}. {format_share(first.paid, first.sent)} of its "
        f"payments were then paid.{opened}"
    )
