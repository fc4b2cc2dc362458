"""Columns and constraints, no behaviour. Money is exact Numeric; every time has its zone."""

from db.models.attempts import Attempt
from db.models.base import Base
from db.models.cards import CardBan
from db.models.companies import Company
from db.models.correspondence import (
    AccountRefusal,
    MailEvent,
    Message,
    Notice,
    Suppression,
    Template,
)
from db.models.decisions import RetryDecision
from db.models.payments import Payment
from db.models.products import Product
from db.models.requests import AuditEntry, Request
from db.models.reversals import Dispute, Membership, Refund
from db.models.upkeep import (
    DailyFigures,
    Heartbeat,
    LateChange,
    MonthEnd,
    PooledGain,
    RateLimit,
    Rollup,
    Sync,
    WebhookEvent,
)

__all__ = [
    "AccountRefusal",
    "Attempt",
    "AuditEntry",
    "Base",
    "CardBan",
    "Company",
    "DailyFigures",
    "Dispute",
    "Heartbeat",
    "LateChange",
    "MailEvent",
    "Membership",
    "Message",
    "MonthEnd",
    "Notice",
    "Payment",
    "PooledGain",
    "Product",
    "RateLimit",
    "Refund",
    "Request",
    "RetryDecision",
    "Rollup",
    "Suppression",
    "Sync",
    "Template",
    "WebhookEvent",
]
