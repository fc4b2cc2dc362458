"""The charts' figures as rows, the first naming the columns: for CSV files. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from dashboard.charts.bars import NEWER
from dashboard.charts.steps import STAGES
from dashboard.data.insights import Curve
from dashboard.text.groups import NAMES, name_group, name_step
from dashboard.text.insights import compare
from db.reporting.chance import Estimate
from db.reporting.cohorts import Dimension
from db.reporting.groups import Group
from db.reporting.insights import StepCount, Try
from db.reporting.lift import Baseline
from recovery.labels import OUTCOMES, RECOVERED_BY, STATUSES
from recovery.lift.comparison import Lift
from recovery.status import AttemptOutcome, PaymentStatus

Rows = list[tuple[object, ...]]


GROUP_COLUMNS = (
    "With a final result",
    STATUSES[PaymentStatus.RECOVERED],
    "Likely share, from",
    "Likely share, to",
    *RECOVERED_BY.values(),
    NEWER,
    f"{NEWER}, recovered",
    f"{NEWER}, not recovered",
    f"{NEWER}, open",
    "Failed, in US dollars",
    "Recovered less refunds and disputes, in US dollars",
    "Without a dollar value",
)


def list_group_rows(groups: Sequence[Group], dimension: Dimension) -> Rows:
    return [
        (NAMES[dimension], *GROUP_COLUMNS),
        *(
            (
                name_group(dimension, group.key),
                group.closed,
                group.recovered,
                *list_ends(likely),
                *group.by.parts,
                group.newer,
                group.newer_recovered,
                group.newer_lost,
                group.newer_open,
                group.failed_amount,
                group.recovered_amount,
                group.unconverted,
            )
            for group, likely in zip(groups, compare(groups), strict=True)
        ),
    ]


def list_ends(likely: Estimate | None) -> tuple[object, object]:
    return (round(likely.low, 3), round(likely.high, 3)) if likely else ("", "")


def list_try_rows(tries: Sequence[Try]) -> Rows:
    head = (
        "Try",
        "Made",
        "Paid by our retry",
        "Paid otherwise",
        OUTCOMES[AttemptOutcome.DECLINED],
    )
    return [
        head,
        *(
            (one.number, one.made, one.paid_by_us, one.paid_otherwise, one.declined)
            for one in tries
        ),
    ]


def list_curve_rows(curve: Curve) -> Rows:
    head = ("Recovered in less than hours", "Payments", "Of")
    sums = accumulate(one.by.total for one in curve.hours)
    last = max((one.hour for one in curve.hours), default=0)
    ends = ("Later" if one.hour == last == 120 else one.hour + 1 for one in curve.hours)
    return [head, *((end, number, curve.watched) for end, number in zip(ends, sums, strict=True))]


def list_step_rows(steps: Sequence[StepCount]) -> Rows:
    return [
        ("Message", *STAGES),
        *(
            (name_step(one), one.sent, one.delivered, one.opened, one.clicked, one.paid)
            for one in steps
        ),
    ]


def list_lift_rows(lift: Lift | None, baseline: Baseline | None) -> Rows:
    rows: Rows = [("Group", "Payments or members", STATUSES[PaymentStatus.RECOVERED])]
    if lift is not None:
        rows.append(("Members with our help", lift.treated.members, lift.treated.recovered))
        rows.append(("Control group", lift.held_out.members, lift.held_out.recovered))
    if baseline is not None:
        rows.append(("Payments before you installed this", baseline.failed, baseline.recovered))
    return rows
