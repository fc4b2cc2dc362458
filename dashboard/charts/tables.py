"""The charts' figures as rows, the first naming the columns: for CSV files. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from dashboard.data.insights import Curve
from dashboard.text.groups import name_group
from db.reporting.cohorts import Dimension
from db.reporting.insights import Group, StepCount, Try
from db.reporting.lift import Baseline
from recovery.lift import Lift

Rows = list[tuple[object, ...]]


GROUP_COLUMNS = (
    "five days over",
    "recovered",
    "by our retries",
    "by members, after our message",
    "without us",
    "may still be paid",
    "failed USD",
    "recovered USD, less refunds",
    "without a dollar value",
)


def list_group_rows(groups: Sequence[Group], dimension: Dimension) -> Rows:
    return [
        (dimension.value, *GROUP_COLUMNS),
        *(
            (
                name_group(dimension, group.key),
                group.closed,
                group.recovered,
                group.by_retry,
                group.by_member,
                group.without_us,
                group.open,
                group.failed_amount,
                group.recovered_amount,
                group.unconverted,
            )
            for group in groups
        ),
    ]


def list_try_rows(tries: Sequence[Try]) -> Rows:
    head = ("try", "made", "paid by our charge", "paid otherwise", "declined")
    return [
        head,
        *(
            (one.number, one.made, one.paid_by_us, one.paid_otherwise, one.declined)
            for one in tries
        ),
    ]


def list_curve_rows(curve: Curve) -> Rows:
    head = ("recovered in less than hours", "payments", "of")
    sums = accumulate(one.by_retry + one.by_member + one.without_us for one in curve.hours)
    last = max((one.hour for one in curve.hours), default=0)
    ends = ("later" if one.hour == last == 120 else one.hour + 1 for one in curve.hours)
    return [head, *((end, number, curve.watched) for end, number in zip(ends, sums, strict=True))]


def list_step_rows(steps: Sequence[StepCount]) -> Rows:
    head = ("step", "channel", "sent", "delivered", "opened", "clicked", "paid after")
    return [
        head,
        *(
            (one.step, one.channel, one.sent, one.delivered, one.opened, one.clicked, one.paid)
            for one in steps
        ),
    ]


def list_lift_rows(lift: Lift | None, baseline: Baseline | None) -> Rows:
    rows: Rows = [("who", "payments or members", "recovered")]
    if lift is not None:
        rows.append(("members we work on", lift.treated.members, lift.treated.recovered))
        rows.append(("members left to Whop", lift.held_out.members, lift.held_out.recovered))
    if baseline is not None:
        rows.append(("payments before the set-up", baseline.failed, baseline.recovered))
    return rows
