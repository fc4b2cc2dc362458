"""Rows that are inserted in bulk. A misspelt or missing column is a TypeError here, whereas the
database would ignore it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from recovery.declines import DeclineClass
from recovery.standing import Hold
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, Step, Trigger


@dataclass(kw_only=True)
class NewPayment:
    """A new failed payment. Its decisions are filled in as they are made.

    Neither frozen nor with slots, since the hot path makes one for each event:
    docs/developers/speed.md.
    """

    payment_id: str
    company_id: str
    membership_id: str | None
    member_id: str | None
    user_id: str | None
    member_name: str | None
    member_email: str | None
    product_id: str | None
    product: str | None
    instrument_name: str | None
    billing_reason: str | None
    amount: Decimal
    currency: str
    amount_usd: Decimal | None
    card_brand: str | None
    card_last4: str | None
    card_expiry: str | None
    payment_method_id: str | None
    payment_method_type: str | None
    recovery_url: str | None
    country: str | None
    observed_at: datetime

    refunded_amount: Decimal
    reason: str
    decline_code: str | None
    decline_class: DeclineClass
    retryable: bool
    whop_failures: int | None
    failed_at: datetime
    window_ends_at: datetime
    last_attempt_at: datetime
    whop_next_attempt_at: datetime | None
    whop_announced_at: datetime | None
    imported: bool
    held_out: bool | None
    assigned_share: int | None
    created_at: datetime

    # New ones have the columns' defaults, so these are not written.
    retry_count: ClassVar[int] = 0
    hold: ClassVar[Hold | None] = None
    status: PaymentStatus = PaymentStatus.FAILED
    next_retry_at: datetime | None = None
    next_charge_method: ChargeMethod = ChargeMethod.RETRY
    next_trigger: Trigger = Trigger.SCHEDULE
    closed_reason: ClosedReason | None = None
    next_step: Step | None = None
    next_message_at: datetime | None = None


@dataclass(kw_only=True)
class NewBan:
    """A ban on a card (db/card_bans.py), to be written or as it was read in bulk."""

    company_id: str
    payment_id: str
    attempt: str
    member_id: str | None
    user_id: str | None
    membership_id: str | None
    payment_method_id: str | None
    card_brand: str | None
    card_last4: str | None
    card_expiry: str | None
    decline_code: str
    decline_class: DeclineClass
    reason: str
    observed_at: datetime
    recorded_at: datetime


# New payments whose decline sticks to their card: which charge it was, by the payment's id. What
# else a ban says, the payment says.
Bans = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Created:
    """The payments that have become known, by their ids. `awaited`: reports about them wait in the
    inbox. `banned`: their member's bans from before, where there are any. `concerned`: something is
    known of their membership or their member that may forbid to collect them."""

    payments: set[str]
    awaited: set[str]
    banned: dict[str, list[NewBan]]
    concerned: set[str]


@dataclass(slots=True)
class NewEvent:
    """What is stored of an event beside its payload. `applied`: storing it is all there is to do.
    Not frozen, as NewPayment."""

    event_id: str
    type: str
    company_id: str | None
    payment_id: str | None
    error: str | None
    applied: bool


PAYMENT_COLUMNS = tuple(field.name for field in fields(NewPayment))
BAN_COLUMNS = tuple(field.name for field in fields(NewBan))
EVENT_COLUMNS = tuple(field.name for field in fields(NewEvent))
