"""How figures and states are said. Pure: `now` is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from dashboard.data.overview import PaymentRow
from recovery.action_required import NEEDS
from recovery.money import format_money
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, RecoveredBy


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
            return State(Tone.WAITING, "Needs you" if row.needs_you else "Waiting for the member")
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


def describe_next(row: PaymentRow, now: datetime, zone: ZoneInfo) -> str:
    """Who does what next, in a few words."""
    match row.status:
        case PaymentStatus.RECOVERED:
            return "Nothing: it is paid"
        case PaymentStatus.PERMANENT_FAIL:
            return "Nothing: it was given up"
        case PaymentStatus.PENDING_RETRY:
            return describe_charge(row, now, zone)
        case PaymentStatus.FAILED:
            if row.needs_you is not None:
                return f"You: {NEEDS[row.needs_you].remedy}"
            if row.whop_next_attempt_at is not None and row.whop_next_attempt_at > now:
                return f"Whop tries on {format_when(row.whop_next_attempt_at, zone)}"
            return f"Waits for the member until {format_when(row.window_ends_at, zone)}"
        case _:
            assert_never(row.status)


def describe_charge(row: PaymentRow, now: datetime, zone: ZoneInfo) -> str:
    if row.claimed_until is not None and row.claimed_until > now:
        return "We are charging it"
    if row.next_retry_at is None or row.next_retry_at <= now:
        return "We charge again within the hour"
    card = " another saved card" if row.charge_method is ChargeMethod.BACKUP_CARD else " again"
    return f"We charge{card} on {format_when(row.next_retry_at, zone)}"


def format_when(moment: datetime, zone: ZoneInfo) -> str:
    """`Fri 27 Nov, 09:00`: all that is planned lies within days."""
    return f"{moment.astimezone(zone):%a %-d %b, %H:%M}"
