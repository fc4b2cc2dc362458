"""How a payment was recovered, in a few words. Pure."""

from __future__ import annotations

from dashboard.data.overview import PaymentRow
from recovery.labels import name_way


def capitalize(words: str) -> str:
    """The first letter only: `Whop` stays."""
    return words[:1].upper() + words[1:]


def describe_recovery(row: PaymentRow) -> str:
    """Empty for a payment that is not recovered."""
    if row.recovered_at is None:
        return ""
    if row.refunded_amount >= row.amount > 0:
        return "refunded"
    who = name_way(row.recovered_by)
    return f"{who}, partly refunded" if row.refunded_amount > 0 else who
