"""The sandbox's records. Each is stored as a JSON document."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

By = Literal["whop", "retry", "backup", "member"]
DueKind = Literal[
    "retry_charges",
    "backup_charges",
    "whop_attempt",
    "settle",
    "cancel",
    "period_ends",
    "member_pays",
    "refund",
    "refund_settles",
    "mail_events",
]

PAID = "paid"
PENDING = "pending"


@dataclass(frozen=True)
class Company:
    id: str = "biz_demo"
    title: str = "Lantern Academy"
    route: str = "lantern-academy"


@dataclass(frozen=True)
class Card:
    method_id: str
    brand: str
    issuer_number: str
    last4: str
    exp_month: int
    exp_year: int
    method_type: str = "card"

    @property
    def is_card(self) -> bool:
        """Whether it has a face, or is another way to pay, such as a bank debit."""
        return self.method_type == "card"

    @property
    def fingerprint(self) -> str:
        return f"{self.method_id}-{self.last4}"


@dataclass(frozen=True)
class SavedCard:
    """`script` lists the outcomes of charging a spare card; the last one repeats.

    Without a script the outcome comes from the scenario of the payment that is charged.
    """

    card: Card
    account_id: str
    member_id: str
    created_at: datetime
    script: tuple[str, ...] = ()
    charges: int = 0


@dataclass(frozen=True)
class BankScenario:
    """How a member's bank behaves after one failure. Drawn once, then fixed."""

    starts_at: datetime
    luck: int
    pay_frequency: str | None = None
    funded_hours: float = 0.0
    clears_at: datetime | None = None
    clears_hours: float | None = None
    trust_kept: float = 1.0
    night_patience: float = 1.0


@dataclass(frozen=True)
class Membership:
    id: str
    account_id: str
    member_id: str
    user_id: str
    name: str
    username: str
    email: str
    plan_id: str
    product_id: str
    product_title: str
    price: Decimal
    currency: str
    status: str
    created_at: datetime
    period_start: datetime
    period_end: datetime
    updated_at: datetime
    card: Card
    canceled_at: datetime | None = None
    cancel_at_period_end: bool = False
    paused_at: datetime | None = None


@dataclass(frozen=True)
class Payment:
    id: str
    account_id: str
    membership_id: str
    amount: Decimal
    usd_amount: Decimal
    currency: str
    billing_reason: str
    status: str
    substatus: str
    created_at: datetime
    updated_at: datetime
    card: Card
    # `story` in a sandbox file of before this field had its name.
    scenario: Annotated[BankScenario, Field(validation_alias=AliasChoices("scenario", "story"))]
    script: tuple[str, ...] = ()
    charges: int = 0
    retries: int = 0
    payments_failed: int = 0
    decline_code: str | None = None
    failure_message: str | None = None
    last_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None
    paid_at: datetime | None = None
    in_flight: bool = False
    settles_at: datetime | None = None
    refund_asked: Decimal = Decimal(0)
    refunded_amount: Decimal = Decimal(0)
    refunded_at: datetime | None = None
    dispute_alerted_at: datetime | None = None


@dataclass(frozen=True)
class Refund:
    id: str
    account_id: str
    payment_id: str
    amount: Decimal
    currency: str
    status: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Dispute:
    id: str
    account_id: str
    payment_id: str
    amount: Decimal
    currency: str
    status: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class DisputeAlert:
    """A warning that a payment will be disputed. Announced once and not stored."""

    id: str
    account_id: str
    payment_id: str
    amount: Decimal
    currency: str
    created_at: datetime


@dataclass(frozen=True)
class Charge:
    """One row of the ledger: one real request for money from a bank."""

    payment_id: str
    at: datetime
    by: By
    outcome: str
    amount: Decimal
    usd_amount: Decimal
    currency: str
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Due:
    """A scheduled event of the world; at most one of each kind per subject."""

    kind: DueKind
    subject: str
    at: datetime
    detail: str = ""
