"""How figures and states are said. Pure: `now` is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from dashboard.data.overview import PaymentRow
from db.declines import DeclineClass
from db.lift import Interval, Lift, NotEnoughData
from db.money import format_money
from db.status import ClosedReason, PaymentStatus, RecoveredBy
from db.worth import Baseline


def format_usd(amount: Decimal) -> str:
    return format_money(amount, "usd")


def format_span(span: timedelta) -> str:
    """One unit, rounded down: `40 s`, `12 min`, `3 h`, `2 days`."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86400} days"


def count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def format_share(share: float) -> str:
    return f"{100 * share:.1f}%"


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
        f"Of {count(treated.members, 'member')} whose payment we worked on, "
        f"{format_share(treated.rate)} paid in the end; of {held_out.members:,} left to Whop "
        f"alone, {format_share(held_out.rate)}: {format_points(gain)}{money}.{chance}"
    )


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
    share = format_share(baseline.recovered / baseline.failed)
    return (
        f"Before the set-up, {count(baseline.failed, 'payment')} worth "
        f"{format_usd(baseline.failed_amount)} failed and came to an end; "
        f"{baseline.recovered:,} of them ({share}) came back without us, worth "
        f"{format_usd(baseline.recovered_amount)}."
    )


class Tone(StrEnum):
    GOOD = "good"
    WORKING = "working"
    WAITING = "waiting"
    OVER = "over"


# Beside every word, so that a state is never told by its colour alone.
MARKS = {Tone.GOOD: "✓", Tone.WORKING: "↻", Tone.WAITING: "…", Tone.OVER: "×"}  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class State:
    tone: Tone
    words: str
    detail: str = ""


NEEDS_THE_CREATOR = frozenset({DeclineClass.AMOUNT, DeclineClass.DUPLICATE})
RECOVERED: dict[RecoveredBy, str] = {
    RecoveredBy.RETRY: "by our retry",
    RecoveredBy.MEMBER: "by the member, after our message",
    RecoveredBy.WITHOUT_US: "without us",
}
CLOSED: dict[ClosedReason, str] = {
    ClosedReason.RETRIES_USED: "all retries declined",
    ClosedReason.WINDOW_CLOSED: "the time to pay is over",
    ClosedReason.MEMBERSHIP_ENDED: "the membership ended",
    ClosedReason.MEMBER_CANCELED: "the member wants no renewal",
    ClosedReason.CANCELED: "canceled on Whop",
    ClosedReason.DISPUTED: "the member disputes a payment",
    ClosedReason.REFUNDED: "refunded",
    ClosedReason.CONSENT_WITHDRAWN: "the member stopped the charge",
    ClosedReason.STOPPED: "stopped by you",
}


def describe_state(row: PaymentRow, now: datetime) -> State:
    match row.status:
        case PaymentStatus.RECOVERED:
            return State(Tone.GOOD, "Recovered", describe_recovery(row))
        case PaymentStatus.PENDING_RETRY:
            return State(Tone.WORKING, describe_retry(row, now))
        case PaymentStatus.FAILED:
            return describe_wait(row, now)
        case PaymentStatus.PERMANENT_FAIL:
            detail = CLOSED[row.closed_reason] if row.closed_reason else ""
            return State(Tone.OVER, "Given up", detail)
        case _:
            assert_never(row.status)


def describe_recovery(row: PaymentRow) -> str:
    if row.refunded_amount >= row.amount > 0:
        return "refunded since"
    who = RECOVERED[row.recovered_by or RecoveredBy.WITHOUT_US]
    return f"{who}, partly refunded" if row.refunded_amount > 0 else who


def describe_retry(row: PaymentRow, now: datetime) -> str:
    if row.claimed_until is not None and row.claimed_until > now:
        return "Charging now"
    if row.next_retry_at is None or row.next_retry_at <= now:
        return "Retry due now"
    return f"Retry in {format_span(row.next_retry_at - now)}"


def describe_wait(row: PaymentRow, now: datetime) -> State:
    if row.decline_class in NEEDS_THE_CREATOR:
        return State(Tone.WAITING, "Needs a look from you")
    if row.whop_next_attempt_at is not None and row.whop_next_attempt_at > now:
        when = format_span(row.whop_next_attempt_at - now)
        return State(Tone.WAITING, "Waiting for the member", f"Whop tries in {when}")
    return State(Tone.WAITING, "Waiting for the member")
