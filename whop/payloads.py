"""Whop's JSON, in either shape, read into what the ledger wants to hear.

Current (dated) payloads have Money objects and `*_at` times; legacy ones floats, nested objects
and `company_id` (whop-api.md sections 2.1 and 4). The flat shape is ours, for trying things out.
Unknown fields and values are ignored; what we need and cannot read is named in the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recovery.reports import DisputeReport, MembershipEnd, PaymentReport, Reading, RefundReport
from whop.values import (
    Json,
    PayloadError,
    count,
    expiry,
    flag,
    ident,
    link,
    money_currency,
    need_amount,
    need_ident,
    need_text,
    part,
    read_amount,
    text,
    time,
)

FAILED = "payment.failed"
SUCCEEDED = "payment.succeeded"
PENDING = "payment.pending"
CANCELED = "payment.canceled"
PAYMENT_EVENTS = {FAILED, SUCCEEDED, PENDING, CANCELED, "payment.requires_action"}
REFUND_EVENTS = {"refund.created", "refund.updated"}
MEMBERSHIP_ENDED = "membership.deactivated"
MEMBERSHIP_EVENTS = {
    MEMBERSHIP_ENDED,
    "membership.updated",
    "membership.cancel_at_period_end_changed",
}
ENDED_MEMBERSHIPS = {"canceled", "expired"}
DISPUTE_EVENTS = {"dispute.created", "dispute_alert.created"}
UNDERSTOOD = PAYMENT_EVENTS | REFUND_EVENTS | MEMBERSHIP_EVENTS | DISPUTE_EVENTS

# ISO 4217's code for "no currency": not telling is not dollars.
NO_CURRENCY = "xxx"
# A first purchase that fails is a visitor who did not buy, not a member who is about to leave.
FIRST_PURCHASE = {"subscription_create", "one_time"}


# --- events ------------------------------------------------------------------------------------


def read_event(body: Any, received_at: datetime, default_company: str | None = None) -> Reading:
    """Raises PayloadError. `default_company` serves payloads that name none."""
    if not isinstance(body, Mapping):
        raise PayloadError("body", "must be a JSON object")
    if is_flat(body):
        return read_flat(body, received_at, default_company)
    kind = need_text(body, "type")
    data = body.get("data")
    company = ident(body, "account_id") or ident(body, "company_id")
    if kind not in UNDERSTOOD:
        return Reading(kind, company or default_company)
    if not isinstance(data, Mapping):
        raise PayloadError("data", "must be a JSON object")
    company = company or find_company(data) or default_company
    if company is None:
        raise PayloadError("account_id", "is missing")
    said_at = time(data, "updated_at") or time(body, "timestamp") or received_at
    as_of = min(said_at, received_at)  # a clock ahead of ours must not outrank later words
    if kind in PAYMENT_EVENTS:
        payment = read_payment(data, as_of, company, "data.", kind)
        return Reading(kind, company, payment.payment_id, payment=payment)
    if kind in REFUND_EVENTS:
        refund = read_refund(data, as_of, company)
        return Reading(kind, company, refund.payment_id, refund=refund)
    if kind in DISPUTE_EVENTS:
        dispute = read_dispute(data, company)
        return Reading(kind, company, dispute.payment_id, dispute=dispute)
    return Reading(kind, company, membership_end=read_membership_end(kind, data, company))


def is_flat(body: Json) -> bool:
    return "payment_id" in body and "data" not in body and "type" not in body


def read_flat(body: Json, received_at: datetime, default_company: str | None) -> Reading:
    """`{"payment_id", "member_id", "amount", "reason"}`, with `currency` and others if given."""
    company = ident(body, "company_id") or ident(body, "account_id") or default_company
    if company is None:
        raise PayloadError("company_id", "is missing, and WHOP_COMPANY_ID is not set")
    amount = need_amount(body, "amount")
    currency = (text(body, "currency") or "usd").lower()
    payment = PaymentReport(
        payment_id=need_ident(body, "payment_id"),
        company_id=company,
        as_of=received_at,
        amount=amount,
        currency=currency,
        amount_usd=amount if currency == "usd" else None,
        starts_dunning=True,
        failure_message=text(body, "reason"),
        member_id=need_text(body, "member_id"),
        member_name=text(body, "member_name"),
        member_email=text(body, "member_email"),
        product=text(body, "product"),
    )
    return Reading(FAILED, company, payment.payment_id, payment=payment)


# --- objects -----------------------------------------------------------------------------------


def read_payment(
    data: Json, as_of: datetime, company: str | None, where: str = "", kind: str = ""
) -> PaymentReport:
    """A payment object, from an event of this kind or from the API. Raises PayloadError.

    The event's kind says what happened even where the status is missing or lags behind.
    """
    owner = company or find_company(data)
    if owner is None:
        raise PayloadError(f"{where}account_id", "is missing")
    said = money_currency(data.get("total")) or text(data, "currency")
    currency = (said or NO_CURRENCY).lower()
    amount = need_amount(data, "total" if data.get("total") is not None else "subtotal", where)
    status, substatus = text(data, "status"), text(data, "substatus")
    user, card = part(data, "user"), part(part(data, "payment_instrument"), "card")
    usd = amount if currency == "usd" else read_amount(data.get("usd_total"))
    renewal = text(data, "billing_reason") not in FIRST_PURCHASE
    paid, failures = kind == SUCCEEDED or status == "paid", count(data, "payments_failed")
    return PaymentReport(
        payment_id=need_ident(data, "id", where),
        company_id=owner,
        as_of=as_of,
        amount=amount,
        currency=currency,
        amount_usd=usd,
        refunded_amount=read_amount(data.get("refunded_amount")),
        starts_dunning=kind == FAILED and renewal,
        paid=paid,
        pending=kind == PENDING or status in {"pending", "authorized"},
        ended=kind == CANCELED or status in {"void", "uncollectible"} or substatus == "canceled",
        disputed=bool(substatus and "dispute" in substatus) or bool(data.get("dispute_alerted_at")),
        retryable=flag(data, "retryable"),
        decline_code=text(data, "decline_code"),
        failure_message=text(data, "failure_message"),
        failures=failures,
        created_at=time(data, "created_at"),
        last_attempt_at=time(data, "last_payment_attempt_at") or time(data, "last_payment_attempt"),
        next_attempt_at=time(data, "next_payment_attempt_at") or time(data, "next_payment_attempt"),
        paid_at=time(data, "paid_at"),
        membership_id=ident(data, "membership_id") or ident(part(data, "membership"), "id"),
        member_id=text(data, "member_id") or text(part(data, "member"), "id") or text(user, "id"),
        member_name=text(user, "name") or text(user, "username"),
        member_email=text(data, "customer_email") or text(user, "email"),
        product=text(part(data, "product"), "title"),
        billing_reason=text(data, "billing_reason"),
        card_brand=text(card, "brand") or text(data, "card_brand"),
        card_last4=(text(card, "last4") or text(data, "card_last4") or "")[-4:] or None,
        recovery_url=link(data, "recovery_url"),
        renewal=renewal,
        failed=not paid and (substatus in {"failed", "past_due"} or bool(failures)),
        user_id=ident(user, "id"),
        payment_method_id=ident(data, "payment_method_id")
        or ident(part(data, "payment_method"), "id"),
        card_expiry=read_expiry(data),
    )


def read_expiry(data: Json) -> str | None:
    """The card's last month, such as "2027-04"."""
    card = part(part(data, "payment_instrument"), "card")
    saved = part(part(data, "payment_method"), "card")
    for month, year in (expiry(card), expiry(data, "card_"), expiry(saved)):
        if month and year:
            return f"{year:04}-{month:02}"
    return None


def read_refund(data: Json, as_of: datetime, company: str) -> RefundReport:
    """The settled amount, in the payment's currency, where Whop knows the rate."""
    payment_id = ident(data, "payment_id") or ident(part(data, "payment"), "id")
    if payment_id is None:
        raise PayloadError("data.payment_id", "is missing")
    field = "amount" if data.get("amount") is not None else "original_amount"
    return RefundReport(
        refund_id=need_ident(data, "id", "data."),
        payment_id=payment_id,
        company_id=company,
        amount=need_amount(data, field, "data."),
        status=text(data, "status") or "pending",
        as_of=as_of,
    )


def read_dispute(data: Json, company: str) -> DisputeReport:
    """Of a dispute or an alert, in either shape: payment and buyer are objects, or there is only
    the payment's id."""
    payment, buyer = part(data, "payment"), part(data, "buyer")
    payment_id = ident(data, "payment_id") or ident(payment, "id")
    if payment_id is None:
        raise PayloadError("data.payment_id", "is missing")
    return DisputeReport(
        payment_id=payment_id,
        company_id=company,
        member_id=ident(buyer, "member_id") or ident(part(payment, "member"), "id"),
        user_id=ident(buyer, "user_id") or ident(part(payment, "user"), "id"),
        membership_id=ident(part(payment, "membership"), "id"),
    )


def read_membership_end(kind: str, data: Json, company: str) -> MembershipEnd | None:
    """None: it goes on, and is to be renewed."""
    membership_id = need_ident(data, "id", "data.")
    if kind == MEMBERSHIP_ENDED or text(data, "status") in ENDED_MEMBERSHIPS:
        return MembershipEnd(membership_id, company)
    if flag(data, "cancel_at_period_end"):
        return MembershipEnd(membership_id, company, by_member=True)
    return None


def find_company(data: Json) -> str | None:
    return (
        ident(data, "account_id")
        or ident(data, "company_id")
        or ident(part(data, "company"), "id")
        or ident(part(data, "account"), "id")
    )
