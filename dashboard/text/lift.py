"""Our impact, in words. Pure."""

from __future__ import annotations

from db.reporting.holdout_cost import MonthOfWork
from db.reporting.lift import Baseline
from recovery.lift.comparison import Lift, NotEnoughData
from recovery.lift.groups import Group, Interval
from recovery.lift.pooling import PooledLift, Standing, place, shrink
from recovery.wording import count, format_share, format_usd


def format_points(interval: Interval, what: str = "") -> str:
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.estimate:+.1f} points{what} (95% interval: {low:+.1f} to {high:+.1f})"


def describe_lift(lift: Lift | NotEnoughData) -> str:
    """With a warning where chance could explain it."""
    if isinstance(lift, NotEnoughData):
        return describe_missing_data(lift)
    treated, held_out, gain = lift.treated, lift.held_out, lift.by_number
    money = f", and {format_points(lift.by_money, ' of the money')}" if lift.by_money else ""
    chance = " This may still be chance." if gain.low <= 0 <= gain.high else ""
    return (
        f"With our help, {describe_share(treated)} of the members paid in the end; in the control "
        f"group, {describe_share(held_out)}. Our impact: {format_points(gain)}{money}.{chance}"
    )


def describe_unneeded(lift: Lift | NotEnoughData | None) -> str:
    """How much of what we claim would have come anyway, as far as that is known."""
    part = lift.unneeded if isinstance(lift, Lift) else None
    if part is None:
        return (
            "A part of what our retries collect, and of what is paid after our messages, would "
            "have come anyway. How much, only a control group can tell."
        )
    low, high = round(100 * part.low), round(100 * part.high)
    return (
        f"Of the payments that we claim, about {round(100 * part.estimate)}% would have come "
        f"anyway (95% interval: {low}% to {high}%)."
    )


def describe_pooled(pooled: PooledLift, lift: Lift | NotEnoughData | None) -> str:
    """What creators like this one gain, and how its own gain compares."""
    low, high = 100 * pooled.gain.low, 100 * pooled.gain.high
    together = (
        f"The {pooled.companies} creators who measure it gain {low:+.1f} to {high:+.1f} points "
        "together (95% interval)."
    )
    if not isinstance(lift, Lift):
        return together
    likely = 100 * shrink(lift.effect, pooled)
    return (
        f"{together} {STANDINGS[place(lift.by_number, pooled)]} Most likely {likely:+.1f} points."
    )


STANDINGS: dict[Standing, str] = {
    Standing.FITS: "Yours so far fits that.",
    Standing.ABOVE: "Yours is more, beyond chance.",
    Standing.BELOW: "Yours is less, beyond chance.",
}
# Of members left to Whop alone, for the example of what that costs.
EXAMPLE = 10


def describe_cost(month: MonthOfWork) -> str:
    """Of a control group, before it is switched on."""
    if not month.failures:
        return "What it costs is known once payments have failed."
    left, cost = round(month.failures * EXAMPLE / 100), month.ours * EXAMPLE / 100
    return (
        f"At {EXAMPLE}%, about {left} of your {count(month.failures, 'failed payment')} in 30 days "
        f"would be left to Whop alone. That costs at most {format_usd(cost)} a month: its part of "
        f"the {format_usd(month.ours)} that our retries and messages brought in that time."
    )


def describe_share(group: Group) -> str:
    return format_share(group.recovered, group.members)


def describe_missing_data(missing: NotEnoughData) -> str:
    groups = (
        (missing.held_out_missing, "in the control group"),
        (missing.treated_missing, "with our help"),
    )
    wanted = " and ".join(
        f"{count(number, 'more member')} {where}" for number, where in groups if number
    )
    return f"Not enough data to measure our impact yet: it takes final results of {wanted}."


def describe_baseline(baseline: Baseline) -> str:
    return (
        f"Before you installed this, {count(baseline.failed, 'payment')} worth "
        f"{format_usd(baseline.failed_amount)} failed. "
        f"{format_share(baseline.recovered, baseline.failed)} came back anyway, worth "
        f"{format_usd(baseline.recovered_amount)}."
    )
