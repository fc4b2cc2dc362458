"""The sentences of the insights page: each chart's figures in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.data.insights import Curve
from dashboard.text.groups import PLURALS, name_payments, name_step
from db.reporting.cohorts import Dimension
from db.reporting.groups import Group
from db.reporting.insights import WINDOW_HOURS, StepCount, Try
from recovery.status import Channel
from recovery.wording import FEW, Period, count, format_percent, format_share, format_usd


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


def describe_best(groups: Sequence[Group], dimension: Dimension) -> str:
    """Which group is recovered most and least often, of those with enough payments to compare."""
    large = [group for group in groups if group.closed >= FEW]
    if not large:
        return f"Not enough data to compare yet: no group has {FEW} payments with a final result."
    ranked = sorted(large, key=lambda group: group.recovered / group.closed)
    least, most = ranked[0], ranked[-1]
    if least is most:
        return (
            f"Not enough data to compare {PLURALS[dimension]} yet. So far: "
            f"{name_payments(dimension, most.key)}, {describe_share(most)} recovered."
        )
    return (
        f"Recovered most often: {name_payments(dimension, most.key)}, {describe_share(most)}. "
        f"Least often: {name_payments(dimension, least.key)}, {describe_share(least)}."
    )


def describe_share(group: Group) -> str:
    return format_share(group.recovered, group.closed)


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


def add_up(hour: object) -> int:
    return sum(getattr(hour, by) for by in ("by_retry", "by_member", "without_us"))


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
        f"payments were paid after our message.{opened}"
    )
