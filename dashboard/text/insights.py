"""What the insights say: under each chart its figures in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.data.insights import Curve
from dashboard.text.groups import introduce, name_step
from dashboard.text.payments import format_usd
from db.reporting.cohorts import Dimension
from db.reporting.insights import WINDOW_HOURS, Group, StepCount, Try
from recovery.labels import continue_with
from recovery.status import Channel
from recovery.wording import FEW, Period, count, format_percent, format_share


def say_part(part: int, whole: int) -> str:
    """The same where the whole has just been said."""
    return f"{part:,}" if whole < FEW else f"{part:,} ({format_percent(part, whole)})"


def describe_whole(whole: Group, period: Period) -> str:
    if not whole.closed + whole.open:
        return "No payment has failed here."
    when = "in all" if period is Period.ALL else f"in the {continue_with(period.label)}"
    still = (
        f" {count(whole.open, 'other')} may still be paid, and {be(whole.open)} in no figure below."
        if whole.open
        else ""
    )
    unvalued = (
        f" {count(whole.unconverted, 'payment has', 'payments have')} no dollar value: counted, "
        "but in no sum."
        if whole.unconverted
        else ""
    )
    return (
        f"Of {count(whole.closed, 'failed payment')} {when} whose five days are over, "
        f"{say_part(whole.recovered, whole.closed)} came back, "
        f"{format_usd(whole.recovered_amount)} of {format_usd(whole.failed_amount)}.{still}"
        f"{unvalued}"
    )


def be(number: int) -> str:
    return "is" if number == 1 else "are"


def describe_best(groups: Sequence[Group], dimension: Dimension) -> str:
    """Which group came back most and least often, of those that are large enough to tell."""
    large = [group for group in groups if group.closed >= FEW]
    if not large:
        return f"Too few to compare yet: none has {FEW} payments whose five days are over."
    ranked = sorted(large, key=lambda group: group.recovered / group.closed)
    least, most = ranked[0], ranked[-1]
    if least is most:
        return (
            f"Only {introduce(dimension, most.key)} is large enough to tell: {say(most)} came back."
        )
    return (
        f"{capitalize(introduce(dimension, most.key))} came back most often: {say(most)}; "
        f"{introduce(dimension, least.key)} least: {say(least)}."
    )


def capitalize(words: str) -> str:
    return words[:1].upper() + words[1:]


def say(group: Group) -> str:
    return format_share(group.recovered, group.closed)


def describe_tries(tries: Sequence[Try]) -> str:
    later = [one for one in tries if one.number > 1]
    if not later:
        return "No payment was tried a second time yet."
    first, second = tries[0], later[0]
    ours = sum(one.paid_by_us for one in later)
    paid = second.paid_by_us + second.paid_otherwise
    return (
        f"Of {count(first.made, 'failure')} {second.made:,} were tried again, and try "
        f"{second.number} was paid in {format_share(paid, second.made)}. Our charges paid {ours:,} "
        "in all."
    )


def describe_curve(curve: Curve) -> str:
    recovered = sum(add_up(hour) for hour in curve.hours)
    if not recovered:
        return "Nothing has come back yet of the payments whose five days are over."
    day = sum(add_up(hour) for hour in curve.hours if hour.hour < 24)
    late = sum(add_up(hour) for hour in curve.hours if hour.hour >= WINDOW_HOURS)
    after = f", {late:,} of them after the five days" if late else ""
    return (
        f"{format_share(day, curve.watched)} were paid within a day of their failure, "
        f"{format_share(recovered, curve.watched)} in the end{after}. Half of what came back was "
        f"there after {find_median(curve)}."
    )


def add_up(hour: object) -> int:
    return sum(getattr(hour, by) for by in ("by_retry", "by_member", "without_us"))


def find_median(curve: Curve) -> str:
    half, seen = sum(add_up(hour) for hour in curve.hours) / 2, 0
    for hour in curve.hours:
        seen += add_up(hour)
        if seen >= half:
            if hour.hour >= WINDOW_HOURS:
                return "more than five days"
            return count(hour.hour + 1, "hour")
    return "no time"


def describe_steps(steps: Sequence[StepCount]) -> str:
    if not steps:
        return "No message about these payments has been sent."
    first = max(steps, key=lambda one: one.sent)
    opened = (
        f" Of its mails {format_share(first.opened, first.sent)} were seen open"
        f" and {format_share(first.clicked, first.sent)} clicked."
        if first.channel == Channel.EMAIL
        else ""
    )
    return (
        f"{name_step(first)} went out most: {format_share(first.paid, first.sent)} of its payments "
        f"were paid after it.{opened}"
    )
