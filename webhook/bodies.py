"""JSON schemas of the webhook bodies. Limits and patterns come from the code that reads them."""

from __future__ import annotations

from db.member_messages.event_matching import SENT_ALONG
from mail.events import EVENT_ID
from whop.values import IDENT, LARGEST_AMOUNT, LONGEST_TEXT

ID = {"type": "string", "pattern": f"^{IDENT.pattern}$"}
AMOUNT = {"type": "number", "minimum": 0, "maximum": float(LARGEST_AMOUNT), "multipleOf": 0.01}
TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT, "pattern": r"[^\s\x1c-\x1f]"}

FLAT = {
    "type": "object",
    "description": "A failed payment by hand; accepted in development only.",
    "required": ["payment_id", "member_id", "amount"],
    "properties": {
        "payment_id": ID,
        "member_id": TEXT,
        "amount": AMOUNT,
        "reason": {"type": "string", "description": "A decline code or the bank's words."},
        "currency": {"type": "string", "pattern": "^[A-Za-z]{3}$", "default": "usd"},
    },
    "examples": [
        {
            "payment_id": "abc123",
            "member_id": "user45",
            "amount": 49.99,
            "reason": "card_declined",
        }
    ],
}
MONEY = {
    "type": "object",
    "required": ["amount", "currency"],
    "properties": {
        "amount": {"type": "string", "pattern": r"^[0-9]{1,9}\.[0-9]{2}$"},
        "currency": {"type": "string", "pattern": "^[a-z]{3}$"},
    },
}
ENVELOPE = {
    "type": "object",
    "description": "One of Whop's events (Standard Webhooks). Other fields are ignored.",
    "required": ["type", "account_id", "data"],
    "properties": {
        "type": {
            "enum": ["payment.failed", "payment.succeeded", "payment.pending", "payment.canceled"]
        },
        "account_id": ID,
        "data": {
            "type": "object",
            "required": ["id", "total"],
            "properties": {"id": ID, "total": MONEY},
        },
    },
}
MAIL_EVENTS = {
    "type": "array",
    "description": "SendGrid's events. Events of other kinds, or about other emails, are ignored.",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["event", "sg_event_id", "timestamp"],
        "properties": {
            "event": {"enum": ["processed", "delivered", "open", "click", "bounce", "dropped"]},
            "sg_event_id": {"type": "string", "pattern": f"^{EVENT_ID.pattern}$"},
            "timestamp": {"type": "integer", "minimum": 1},
            "reason": {"type": "string"},
            "sg_message_id": {"type": "string", "description": "SendGrid's id of the email."},
            **{
                name: {"type": "string", "description": "A custom argument of the email."}
                for name in SENT_ALONG
            },
        },
    },
}
