"""Valid defaults, one override per test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.ledger import new_payments, payments
from db.models import Payment
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from recovery.status import PaymentStatus
from whop import payloads

NOW = datetime(2026, 11, 20, 9, 15, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
COMPANY = "biz_AbCdEfGhIjKlMn"
SECRET = "ws_a_secret_for_tests"
HOURLY = RetryRules(policy="hourly")
numbers = itertools.count(1)


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def money(amount: str, currency: str = "usd") -> dict[str, Any]:
    return {"amount": amount, "currency": currency, "decimals": 2, "display_decimals": 2}


def payment_data(**overrides: Any) -> dict[str, Any]:
    """Whop's payment object in the current shape: an unpaid renewal (whop-api.md 4.6)."""
    return {
        "id": f"pay_{next(numbers)}",
        "account_id": COMPANY,
        "status": "open",
        "substatus": "past_due",
        "billing_reason": "subscription_cycle",
        "retryable": True,
        "decline_code": "insufficient_funds",
        "failure_message": "Your card has insufficient funds.",
        "payments_failed": 1,
        "last_payment_attempt_at": iso(NOW),
        "next_payment_attempt_at": None,
        "currency": "usd",
        "total": money("49.00"),
        "usd_total": money("49.00"),
        "refunded_amount": None,
        "payment_instrument": {"card": {"brand": "visa", "last4": "4242"}},
        "user": {"id": "user_1", "name": "Jo Doe", "username": "jodoe"},
        "customer_email": "jo@example.com",
        "member_id": "mber_1",
        "membership_id": "mem_1",
        "recovery_url": None,
        "created_at": iso(NOW),
        "paid_at": None,
        "updated_at": iso(NOW),
    } | overrides


def paid_data(at: datetime = NOW + HOUR, **overrides: Any) -> dict[str, Any]:
    return payment_data(
        **{
            "status": "paid",
            "substatus": "succeeded",
            "retryable": False,
            "decline_code": None,
            "failure_message": None,
            "last_payment_attempt_at": iso(at),
            "paid_at": iso(at),
            "updated_at": iso(at),
        }
        | overrides
    )


def event(
    kind: str = "payment.failed", data: dict[str, Any] | None = None, **overrides: Any
) -> Any:
    return {
        "id": f"msg_{next(numbers)}",
        "api_version": "v1",
        "timestamp": iso(NOW),
        "type": kind,
        "account_id": COMPANY,
        "data": payment_data() if data is None else data,
    } | overrides


def sign(
    body: bytes, at: datetime = NOW, event_id: str | None = None, secret: str = SECRET
) -> dict[str, str]:
    """Whop's headers, by the definition of Standard Webhooks and not by our own code."""
    event_id = event_id or f"msg_{next(numbers)}"
    timestamp = str(int(at.timestamp()))
    signed = f"{event_id}.{timestamp}.".encode() + body
    mark = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{mark}",
    }


def encode(content: Any) -> bytes:
    return json.dumps(content).encode()


def report(kind: str = "payment.failed", **overrides: Any) -> PaymentReport:
    """What the ledger hears of a payment event with this data."""
    data = (paid_data if kind == "payment.succeeded" else payment_data)(**overrides)
    reading = payloads.read_event(event(kind, data), NOW + timedelta(days=30))
    assert reading.payment is not None
    return reading.payment


def add_payment(
    session: Session, now: datetime = NOW, rules: RetryRules | None = None, **overrides: Any
) -> Payment:
    """A payment that has just failed, made known the way webhooks do it, and committed."""
    heard = report(**overrides)
    new_payments.create_payments(session, [heard], {}, now, rules or HOURLY)
    session.commit()
    return get_payment(session, heard.payment_id)


def valued(payment: Payment) -> Payment:
    """A row that is made by hand, with what the ledger would write of its money."""
    payment.failed_amount, payment.failed_currency = payment.amount, payment.currency
    payment.failed_amount_usd = payment.amount_usd
    if payment.status is PaymentStatus.RECOVERED and payment.amount_usd is not None:
        left = max(payment.amount - payment.refunded_amount, Decimal(0))
        payment.kept_usd = payment.amount_usd * left / payment.amount if payment.amount else left
    return payment


VALUE_ROWS = text("""
update payments set failed_amount = amount, failed_currency = currency,
    failed_amount_usd = amount_usd, kept_usd = case when status = 'recovered' then
        amount_usd * greatest(amount - refunded_amount, 0) / nullif(amount, 0) end
where id = :id
""")


def value_row(session: Session, payment_id: int) -> None:
    """The same once a row was changed by hand."""
    session.execute(VALUE_ROWS, {"id": payment_id})


def failing_at(moment: datetime) -> dict[str, Any]:
    """Times of a payment whose charge fails then: for tests that live by the real clock."""
    return dict.fromkeys(("created_at", "last_payment_attempt_at", "updated_at"), iso(moment))


def fail_now(session: Session, now: datetime, **overrides: Any) -> Payment:
    return add_payment(session, now, **failing_at(now) | overrides)


def get_payment(session: Session, payment_id: str) -> Payment:
    payment = payments.lock_payments(session, [payment_id])[payment_id]
    session.commit()
    return payment
