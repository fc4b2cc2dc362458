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
    if row.disputed_amount >= row.amount > 0:
        return "disputed"
    gone = {"refunded": row.refunded_amount, "disputed": row.disputed_amount}
    parts = " and ".join(word for word, amount in gone.items() if amount > 0)
    who = name_way(row.recovered_by)
    return f"{who}, partly {parts}" if parts else who
