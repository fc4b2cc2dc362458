"""What needs the creator, said a second time: plain Python over rows, with none of its code."""

from __future__ import annotations

from collections.abc import Iterable

from db.models import Message, Payment


def find_needs(payments: Iterable[Payment], messages: Iterable[Message]) -> dict[str, str]:
    """By payment id, of those that have one."""
    written = list(messages)
    by_id = {message.id: message for message in written}
    spoke: dict[str, list[Message]] = {}
    for message in written:
        lead = by_id[message.joined_to] if message.joined_to else message
        spoke.setdefault(message.payment_id, []).append(lead)
    found = {p.payment_id: find_need(p, spoke.get(p.payment_id, [])) for p in payments}
    return {payment_id: need for payment_id, need in found.items() if need is not None}


def find_need(payment: Payment, messages: list[Message]) -> str | None:
    """`messages`: those that spoke for it."""
    if payment.status != "failed":
        return None
    if payment.decline_class in ("amount", "duplicate"):
        return str(payment.decline_class)
    if payment.decline_class not in ("authentication", "card", "fraud", "bank_debit"):
        return None
    if payment.imported or payment.held_out:
        return None
    if any(is_told(message) for message in messages):
        return None
    if not payment.member_email and payment.user_id is None:
        return "no_address"
    return "unreached" if any(did_not_arrive(message) for message in messages) else None


def did_not_arrive(message: Message) -> bool:
    return message.delivery_failure in ("bounced", "dropped") or message.state == "failed"


def is_told(message: Message) -> bool:
    if message.delivery_failure in ("spam_report", "unsubscribed"):
        return True
    return message.state == "sent" and message.delivery_failure is None
