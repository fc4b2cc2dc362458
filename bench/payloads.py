"""Signed webhook requests as Whop sends them, ready to be written to a socket."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

PATH = "/webhook/whop"
# The most frequent decline codes, with their messages.
DECLINES = (
    ("insufficient_funds", "Your card has insufficient funds."),
    ("generic_decline", "Your card was declined."),
    ("do_not_honor", "Your card was declined."),
    ("expired_card", "Your card has expired."),
    (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
)
COMPANIES = tuple(f"biz_Bench{number:09d}" for number in range(5))


def render(count: int, secret: str, run: str, now: datetime) -> list[bytes]:
    """Requests for `count` different payments. `run` keeps ids distinct between runs."""
    key, timestamp = secret.encode(), str(int(now.timestamp()))
    requests = []
    for number in range(count):
        event_id = f"msg_{run}{number:012d}"
        body = json.dumps(describe(event_id, number, run, now)).encode()
        requests.append(address(event_id, timestamp, body, key))
    return requests


def address(event_id: str, timestamp: str, body: bytes, key: bytes) -> bytes:
    """The whole request, signed by Standard Webhooks' definition, not by the product's code."""
    signed = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256)
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: Whop-Webhooks/1.0\r\n"
        "accept: */*\r\naccept-encoding: gzip\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nwebhook-id: {event_id}\r\n"
        f"webhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{b64encode(signed).decode()}\r\n"
        "\r\n"
    )
    return head.encode() + body


def describe(event_id: str, number: int, run: str, now: datetime) -> dict[str, Any]:
    """A renewal that has just failed, in the shape of dated API versions (whop-api.md 4.6)."""
    return {
        "id": event_id,
        "api_version": "v1",
        "timestamp": iso(now),
        "type": "payment.failed",
        "account_id": COMPANIES[number % len(COMPANIES)],
        "data": describe_payment(number, run, now),
    }


def describe_payment(number: int, run: str, now: datetime) -> dict[str, Any]:
    code, words = DECLINES[number % len(DECLINES)]
    total = money(f"{9 + number % 90}.00")
    return {
        "id": f"pay_{run}{number:012d}",
        "account_id": COMPANIES[number % len(COMPANIES)],
        "status": "open",
        "substatus": "past_due",
        "billing_reason": "subscription_cycle",
        "retryable": True,
        "voidable": True,
        "refundable": False,
        "decline_code": code,
        "failure_message": words,
        "payments_failed": 1,
        "last_payment_attempt_at": iso(now - timedelta(seconds=2)),
        "next_payment_attempt_at": iso(now + timedelta(days=1)),
        "currency": "usd",
        "subtotal": total,
        "total": total,
        "usd_total": total,
        "amount_after_fees": money("0.00"),
        "tax_refunded_amount": money("0.00"),
        "tax_amount": None,
        "refunded_amount": None,
        "presentment_total": None,
        **describe_buyer(number),
        "recovery_url": None,
        "line_items": [],
        "holds": [],
        "payment_rule_matches": [],
        "auto_refunded": False,
        "three_ds_verified": False,
        "metadata": {},
        "created_at": iso(now - timedelta(seconds=4)),
        "paid_at": None,
        "updated_at": iso(now - timedelta(seconds=1)),
    }


def describe_buyer(number: int) -> dict[str, Any]:
    mark = f"{number % 20_000:010d}"
    return {
        "payment_method_type": "card",
        "payment_method_id": f"payt_{mark}",
        "payment_instrument": {
            "payment_method_type": "card",
            "display_name": "Visa •••• 4242",
            "installment_count": None,
            "icons": {},
            "card": {
                "brand": "visa",
                "last4": "4242",
                "exp_month": 4,
                "exp_year": 2027,
                "issuer_identification_number": "424242",
            },
        },
        "user": {
            "id": f"user_{mark}",
            "name": "Jo Doe",
            "username": f"jodoe{number}",
            "profile_picture": {"url": f"https://assets.example.com/members/{mark}.png"},
        },
        "customer_email": f"jo{number}@example.com",
        "customer_phone": None,
        "member_id": f"mber_{mark}",
        "membership_id": f"mem_{mark}",
        "plan_id": "plan_Ss11Tt22Uu33V",
        "product_id": "prod_Vv11Ww22Xx33Y",
        "promo_code_id": None,
    }


def money(amount: str) -> dict[str, Any]:
    return {"amount": amount, "currency": "usd", "decimals": 2, "display_decimals": 2}


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
