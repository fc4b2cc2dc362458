"""Columns and constraints, no behaviour. Money is exact Numeric; every time carries its zone."""

from db.models.attempts import Attempt
from db.models.base import Base, JsonText, write_json
from db.models.companies import Company
from db.models.correspondence import (
    Deed,
    MailEvent,
    Message,
    Notice,
    Request,
    Suppression,
    Template,
)
from db.models.payments import Payment
from db.models.reversals import Dispute, Refund
from db.models.upkeep import (
    DailyFigures,
    Heartbeat,
    LateChange,
    Pace,
    Rollup,
    Sync,
    WebhookEvent,
)

__all__ = [
    "Attempt",
    "Base",
    "Company",
    "DailyFigures",
    "Deed",
    "Dispute",
    "Heartbeat",
    "JsonText",
    "LateChange",
    "MailEvent",
    "Message",
    "Notice",
    "Pace",
    "Payment",
    "Refund",
    "Request",
    "Rollup",
    "Suppression",
    "Sync",
    "Template",
    "WebhookEvent",
    "write_json",
]
