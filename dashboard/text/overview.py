"""The sentences below the overview's figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from db.reporting.figures import Closed, Day
from db.reporting.month_ends import MonthResult
from db.reporting.trends import Comparison
from recovery.wording import count, format_usd

CHANCE = "The difference may be chance."


def describe_change(comparison: Comparison) -> str:
    """In percent. Streamlit draws the arrow by the sign."""
    last, before = comparison.last, comparison.before
    return f"{round(100 * (last - before) / before):+,}%" if before else f"{last:+,.0f}"


def say_chance(comparison: Comparison, words: str) -> str:
    return words if comparison.differs else f"{words} {CHANCE}"


def describe_month(comparison: Comparison, before: date) -> str:
    """Before refunds: money of this month has had less time to be given back."""
    so_far, then = format_usd(comparison.last), format_usd(comparison.before)
    words = f"Before refunds {so_far}; by this time in {before:%B} it was {then}."
    return say_chance(comparison, words)


def describe_month_end(ended: MonthResult, days: Sequence[Day]) -> str:
    left = sum((day.recovered.total for day in days if is_in(day.day, ended.month)), Decimal(0))
    told = f"{ended.month:%B} ended with {format_usd(ended.recovered)} recovered"
    return f"{told}." if left == ended.recovered else f"{told}, as of today {format_usd(left)}."


def is_in(day: date, month: date) -> bool:
    return day.replace(day=1) == month


def describe_closed(closed: Closed) -> str:
    if not closed.payments:
        return "No payment's five days are over yet."
    kept, failed = format_usd(closed.kept_amount), format_usd(closed.failed_amount)
    payments = f"{closed.recovered:,} of {count(closed.payments, 'payment')}"
    return f"{kept} of {failed}, {payments}: those whose five days are over."


def describe_rate(comparison: Comparison) -> str:
    words = f"{comparison.last}% in the newest 30 of these days, {comparison.before}% before."
    return say_chance(comparison, words)
