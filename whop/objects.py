"""Reads Whop's objects, in either shape, into reports.

Current (dated) payloads have Money objects and `*_at` times; legacy ones have floats, nested
objects and `company_id` (whop-api.md sections 2.1 and 4). Unknown fields and values are ignored.
PayloadError names a required field that cannot be read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from recovery.instruments import choose_instrument_name
from recovery.payment_methods import may_charge_method
from recovery.reports import FIRST_PURCHASE, PaymentReport, RefundReport
from whop.memberships import read_substatus
from whop.values import (
    Json,
    PayloadError,
    count,
    country,
    expiry,
    flag,
    ident,
    link,
    money_currency,
    part,
    read_amount,
    require_amount,
    require_ident,
    text,
    time,
)

FAILED = "payment.failed"
SUCCEEDED = "payment.succeeded"
PENDING = "payment.pending"
CANCELED = "payment.canceled"
# Payment methods: one that Whop does not know itself, and Apple's, by card or by a bill of Apple's.
MAY_BE_A_CARD = {"unknown", "apple"}
# ISO 4217's code for "no currency": we must not assume dollars.
NO_CURRENCY = "xxx"
# A manual charge is no renewal that a membership hangs on; and a failed first purchase is a visitor
# who did not buy, not a member who may leave.
NO_RENEWAL = FIRST_PURCHASE | {"manual"}


def read_payment(
    data: Json, observed_at: datetime, company: str | None, where: str = "", kind: str = ""
) -> PaymentReport:
    """`kind`: the event's type, empty for the API. `where`: prefix of a field's name in errors.

    Raises PayloadError.
    """
    owner = company or find_company(data)
    if owner is None:
        raise PayloadError(f"{where}account_id", "is missing")
    buyer, money = read_buyer(data), read_money(data, where)
    owed = money["amount"] > 0 and is_renewal(data, buyer["membership_id"])
    return PaymentReport(
        company_id=owner,
        observed_at=observed_at,
        **money,
        payment_id=require_ident(data, "id", where),
        **read_state(data, kind, owed),
        retryable=flag(data, "retryable"),
        decline_code=text(data, "decline_code"),
        failure_message=text(data, "failure_message"),
        created_at=time(data, "created_at"),
        last_attempt_at=time(data, "last_payment_attempt_at") or time(data, "last_payment_attempt"),
        next_attempt_at=time(data, "next_payment_attempt_at") or time(data, "next_payment_attempt"),
        paid_at=time(data, "paid_at"),
        recovery_url=link(data, "recovery_url"),
        **buyer,
        **read_instrument(data),
    )


def read_money(data: Json, where: str) -> dict[str, Any]:
    reported = money_currency(data.get("total")) or text(data, "currency")
    currency = (reported or NO_CURRENCY).lower()
    amount = require_amount(data, "total" if data.get("total") is not None else "subtotal", where)
    return {
        "amount": amount,
        "currency": currency,
        "amount_usd": amount if currency == "usd" else read_amount(data.get("usd_total")),
        "refunded_amount": read_amount(data.get("refunded_amount")),
    }


def is_renewal(data: Json, membership_id: str | None) -> bool:
    """Without the permission member:basic:read a renewal has no membership, but its reason."""
    reason = text(data, "billing_reason")
    return membership_id is not None if reason is None else reason not in NO_RENEWAL


def read_state(data: Json, kind: str, owed: bool) -> dict[str, Any]:
    """The event's type counts even where the status is missing or lags behind."""
    status, substatus = text(data, "status"), text(data, "substatus")
    paid = kind == SUCCEEDED or status == "paid"
    failures = count(data, "payments_failed")
    return {
        "billing_reason": text(data, "billing_reason"),
        "renewal": owed,
        "starts_dunning": kind == FAILED and owed,
        "paid": paid,
        "pending": kind == PENDING or status in {"pending", "authorized"},
        "ended": kind == CANCELED or status in {"void", "uncollectible"} or substatus == "canceled",
        "dispute_status": read_substatus(data),
        "failures": failures,
        "failed": not paid and (substatus in {"failed", "past_due"} or bool(failures)),
    }


def read_buyer(data: Json) -> dict[str, Any]:
    user = part(data, "user")
    return {
        "membership_id": ident(data, "membership_id") or ident(part(data, "membership"), "id"),
        "member_id": text(data, "member_id")
        or text(part(data, "member"), "id")
        or text(user, "id"),
        "user_id": ident(user, "id"),
        "member_name": text(user, "name") or text(user, "username"),
        "member_email": text(data, "customer_email") or text(user, "email"),
        "product_id": ident(data, "product_id") or ident(part(data, "product"), "id"),
        "product": text(part(data, "product"), "title"),
        "country": country(part(data, "billing_address")),
        "buyer_gone": is_gone(data),
    }


def is_gone(data: Json) -> bool:
    """Whop names no buyer once their account is deleted. A field that is left out says nothing."""
    address = data.get("customer_email") or text(part(data, "user"), "email")
    return "user" in data and data["user"] is None and not address


def read_instrument(data: Json) -> dict[str, Any]:
    instrument, method = part(data, "payment_instrument"), part(data, "payment_method")
    card = part(instrument, "card")
    last4 = (text(card, "last4") or text(data, "card_last4") or "")[-4:] or None
    kind = read_method_type(data, instrument, method, is_card=bool(card))
    return {
        "instrument_name": choose_instrument_name(text(instrument, "display_name"), kind, last4),
        "card_brand": text(card, "brand") or text(data, "card_brand"),
        "card_last4": last4,
        "card_expiry": read_expiry(card)
        or read_expiry(data, "card_")
        or read_expiry(part(method, "card")),
        "payment_method_id": ident(data, "payment_method_id") or ident(method, "id"),
        "payment_method_type": kind,
    }


def read_method_type(*told: Json, is_card: bool) -> str | None:
    """The strictest of those told: what is called a card may be called a debit beside it. What may
    be anything is a card where a card is shown."""
    kinds = [kind for part in told if (kind := text(part, "payment_method_type"))]
    if is_card and not MAY_BE_A_CARD.isdisjoint(kinds):
        kinds = [kind for kind in kinds if kind not in MAY_BE_A_CARD]
    return min(kinds, key=may_charge_method, default=None)


def read_expiry(card: Json, prefix: str = "") -> str | None:
    """The last month in which the card is valid, such as "2027-04"."""
    month, year = expiry(card, prefix)
    return f"{year:04}-{month:02}" if month and year else None


def read_refund(data: Json, observed_at: datetime, company: str) -> RefundReport:
    """In the payment's currency where Whop knows the rate, else in the one that was moved."""
    payment_id = ident(data, "payment_id") or ident(part(data, "payment"), "id")
    if payment_id is None:
        raise PayloadError("data.payment_id", "is missing")
    field = "amount" if data.get("amount") is not None else "original_amount"
    # Legacy shapes have a number, and its currency beside it.
    currency = money_currency(data.get(field)) or text(data, "currency")
    return RefundReport(
        refund_id=require_ident(data, "id", "data."),
        payment_id=payment_id,
        company_id=company,
        amount=require_amount(data, field, "data."),
        status=text(data, "status") or "pending",
        observed_at=observed_at,
        currency=currency.lower() if currency else None,
        refunded_at=time(data, "created_at"),
    )


def find_company(data: Json) -> str | None:
    return (
        ident(data, "account_id")
        or ident(data, "company_id")
        or ident(part(data, "company"), "id")
        or ident(part(data, "account"), "id")
    )
