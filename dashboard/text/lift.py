"""What our work adds, in words. Pure."""

from __future__ import annotations

from dashboard.text.payments import format_usd
from db.reporting.lift import Baseline
from recovery.lift import Group, Interval, Lift, NotEnoughData
from recovery.wording import count, format_share


def format_points(interval: Interval, what: str = "") -> str:
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.estimate:+.1f} points{what} (95% interval: {low:+.1f} to {high:+.1f})"


def describe_lift(lift: Lift | NotEnoughData) -> str:
    """One sentence, and the warning that chance could explain it, where it could."""
    if isinstance(lift, NotEnoughData):
        return describe_missing_data(lift)
    treated, held_out, gain = lift.treated, lift.held_out, lift.by_number
    money = f", and {format_points(lift.by_money, ' of the money')}" if lift.by_money else ""
    chance = " That may still be chance." if gain.low <= 0 <= gain.high else ""
    return (
        f"Of members whose payment we worked on, {say(treated)} paid in the end; of those left to "
        f"Whop alone, {say(held_out)}: {format_points(gain)}{money}.{chance}"
    )


def say(group: Group) -> str:
    return format_share(group.recovered, group.members)


def describe_missing_data(missing: NotEnoughData) -> str:
    groups = (
        (missing.held_out_missing, "left to Whop alone"),
        (missing.treated_missing, "whose payment we work on"),
    )
    wanted = " and ".join(
        f"{count(number, 'member')} {whose}" for number, whose in groups if number
    )
    return (
        f"What our work adds cannot be told yet: {wanted} must still come to the end of their "
        "payment's five days."
    )


def describe_baseline(baseline: Baseline) -> str:
    return (
        f"Before the set-up, {count(baseline.failed, 'payment')} worth "
        f"{format_usd(baseline.failed_amount)} failed and came to an end; "
        f"{format_share(baseline.recovered, baseline.failed)} came back by themselves, worth "
        f"{format_usd(baseline.recovered_amount)}."
    )
