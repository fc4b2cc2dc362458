"""Amounts, times and a payment's state in words. Pure: `now` is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from dashboard.data.overview import PaymentRow
from recovery.action_required import REMEDIES
from recovery.labels import (
    CHARGE_METHODS,
    CLOSED_REASONS,
    STATUSES,
    continue_with,
    name_way,
)
from recovery.status import ChargeMethod, PaymentStatus
from recovery.wording import format_span


def capitalize(words: str) -> str:
    """The first letter only: `Whop` stays."""
    return words[:1].upper() + words[1:]


class Tone(StrEnum):
    GOOD = "good"
    WORKING = "working"
    WAITING = "waiting"
    OVER = "over"


# Beside every word, so that no state is told by its colour alone.
MARKS = {Tone.GOOD: "✓", Tone.WORKING: "↻", Tone.WAITING: "…", Tone.OVER: "×"}  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class State:
    tone: Tone
    words: str
    detail: str = ""


def describe_state(row: PaymentRow, now: datetime) -> State:
    match row.status:
        case PaymentStatus.RECOVERED:
            return State(Tone.GOOD, STATUSES[row.status], describe_recovery(row))
        case PaymentStatus.PENDING_RETRY:
            return State(Tone.WORKING, STATUSES[row.status], describe_retry(row, now))
        case PaymentStatus.FAILED:
            return State(Tone.WAITING, describe_wait(row, now))
        case PaymentStatus.PERMANENT_FAIL:
            detail = continue_with(CLOSED_REASONS[row.closed_reason]) if row.closed_reason else ""
            return State(Tone.OVER, STATUSES[row.status], detail)
        case _:
            assert_never(row.status)


def describe_recovery(row: PaymentRow) -> str:
    if row.refunded_amount >= row.amount > 0:
        return "refunded"
    who = name_way(row.recovered_by)
    return f"{who}, partly refunded" if row.refunded_amount > 0 else who


def describe_retry(row: PaymentRow, now: datetime) -> str:
    if row.claimed_until is not None and row.claimed_until > now:
        return "charging now"
    if row.next_retry_at is None or row.next_retry_at <= now:
        return "due now"
    return f"in {format_span(row.next_retry_at - now)}"


def describe_wait(row: PaymentRow, now: datetime) -> str:
    if row.needs_you:
        return "Needs you"
    whops = row.whop_next_attempt_at is not None and row.whop_next_attempt_at > now
    return f"{STATUSES[row.status]} for {'Whop' if whops else 'the member'}"


def describe_next(row: PaymentRow, now: datetime, zone: ZoneInfo) -> str:
    """Who does what next, in a few words; empty for a payment that is over."""
    match row.status:
        case PaymentStatus.RECOVERED | PaymentStatus.PERMANENT_FAIL:
            return ""
        case PaymentStatus.PENDING_RETRY:
            return describe_charge(row, now, zone)
        case PaymentStatus.FAILED:
            if row.needs_you is not None:
                return REMEDIES[row.needs_you]
            if row.whop_next_attempt_at is not None and row.whop_next_attempt_at > now:
                return f"Whop retries on {format_when(row.whop_next_attempt_at, zone)}"
            return f"Deadline {format_when(row.window_ends_at, zone)}"
        case _:
            assert_never(row.status)


def describe_charge(row: PaymentRow, now: datetime, zone: ZoneInfo) -> str:
    if row.claimed_until is not None and row.claimed_until > now:
        return "We are charging now"
    if row.next_retry_at is None or row.next_retry_at <= now:
        return "We retry within the hour"
    card = mention_backup_card(row.charge_method)
    return f"We retry{card} on {format_when(row.next_retry_at, zone)}"


def mention_backup_card(method: ChargeMethod) -> str:
    """` with the backup card`; the card on file goes without saying."""
    backup = method is ChargeMethod.BACKUP_CARD
    return f" with the {continue_with(CHARGE_METHODS[method])}" if backup else ""


def format_when(moment: datetime, zone: ZoneInfo) -> str:
    """`Fri 27 Nov, 09:00`: all that is planned lies within days."""
    return f"{moment.astimezone(zone):%a %-d %b, %H:%M}"
