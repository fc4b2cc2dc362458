"""Reads events: Whop's, and our own flat shape for trying things out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recovery.reports import ParsedEvent, PaymentReport
from whop.memberships import ACTIVATED, DEACTIVATED, read_dispute, read_membership
from whop.objects import (
    CANCELED,
    FAILED,
    PENDING,
    SUCCEEDED,
    find_company,
    read_payment,
    read_refund,
)
from whop.values import (
    Json,
    PayloadError,
    ident,
    require_amount,
    require_ident,
    require_text,
    text,
    time,
)

# What the documentation has in place of ids, as in pay_xxxxxxxxxxxxxx: Whop's test button sends it.
SAMPLE = re.compile(r"[a-z]+_x+", re.IGNORECASE | re.ASCII)
PAYMENT_EVENTS = {FAILED, SUCCEEDED, PENDING, CANCELED, "payment.requires_action"}
REFUND_EVENTS = {"refund.created", "refund.updated"}
MEMBERSHIP_EVENTS = {
    ACTIVATED,
    DEACTIVATED,
    "membership.updated",
    "membership.cancel_at_period_end_changed",
    "membership.trial_ending_soon",
}
DISPUTE_EVENTS = {"dispute.created", "dispute.updated", "dispute_alert.created"}
UNDERSTOOD = PAYMENT_EVENTS | REFUND_EVENTS | MEMBERSHIP_EVENTS | DISPUTE_EVENTS


def read_event(body: Any, received_at: datetime, default_company: str | None = None) -> ParsedEvent:
    """`default_company` is for payloads that name none. Raises PayloadError."""
    if not isinstance(body, Mapping):
        raise PayloadError("body", "must be a JSON object")
    if is_flat(body):
        return read_flat(body, received_at, default_company)
    kind = require_text(body, "type")
    data = body.get("data")
    company = ident(body, "account_id") or ident(body, "company_id")
    if kind not in UNDERSTOOD:
        return ParsedEvent(kind, company or default_company)
    if not isinstance(data, Mapping):
        raise PayloadError("data", "must be a JSON object")
    company = company or find_company(data) or default_company
    if SAMPLE.fullmatch(ident(data, "id") or ""):
        return ParsedEvent(kind, company)
    if company is None:
        raise PayloadError("account_id", "is missing")
    said_at = time(data, "updated_at") or time(body, "timestamp") or received_at
    # A clock ahead of ours must not outrank later reports.
    observed_at = min(said_at, received_at)
    if kind in PAYMENT_EVENTS:
        payment = read_payment(data, observed_at, company, "data.", kind)
        return ParsedEvent(kind, company, payment.payment_id, payment=payment)
    if kind in REFUND_EVENTS:
        refund = read_refund(data, observed_at, company)
        return ParsedEvent(kind, company, refund.payment_id, refund=refund)
    if kind in DISPUTE_EVENTS:
        dispute = read_dispute(data, observed_at, company, kind)
        payment_id = dispute.payment_id if dispute else None
        return ParsedEvent(kind, company, payment_id, dispute=dispute)
    membership = read_membership(data, observed_at, company, kind)
    return ParsedEvent(kind, company, membership=membership)


def is_flat(body: Json) -> bool:
    return "payment_id" in body and "data" not in body and "type" not in body


def read_flat(body: Json, received_at: datetime, default_company: str | None) -> ParsedEvent:
    """`{"payment_id", "member_id", "amount", "reason"}`, and optionally `currency` and others."""
    company = ident(body, "company_id") or ident(body, "account_id") or default_company
    if company is None:
        raise PayloadError("company_id", "is missing, and WHOP_COMPANY_ID is not set")
    amount = require_amount(body, "amount")
    currency = (text(body, "currency") or "usd").lower()
    payment = PaymentReport(
        payment_id=require_ident(body, "payment_id"),
        company_id=company,
        observed_at=received_at,
        amount=amount,
        currency=currency,
        amount_usd=amount if currency == "usd" else None,
        starts_dunning=amount > 0,
        failure_message=text(body, "reason"),
        member_id=require_text(body, "member_id"),
        member_name=text(body, "member_name"),
        member_email=text(body, "member_email"),
        product=text(body, "product"),
    )
    return ParsedEvent(FAILED, company, payment.payment_id, payment=payment)
