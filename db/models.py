"""Columns and constraints, no behaviour. Money is exact Numeric; every time carries its zone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Numeric,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.declines import DeclineClass
from db.status import (
    AttemptOutcome,
    ClosedReason,
    Means,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    RequestKind,
    Trigger,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
Time = DateTime(timezone=True)


class Word(TypeDecorator[Any]):
    """A StrEnum stored as its text; the CHECK beside the column is what guards it."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self.kind(value)


def one_of(column: str, kind: Iterable[StrEnum]) -> CheckConstraint:
    words = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} in ({words})", name=column)


class JsonText(str):
    """JSON already written out: a JSONB column takes it as it is."""


def write_json(value: Any) -> str:
    return value if isinstance(value, JsonText) else json.dumps(value)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Company(Base):
    """A creator's Whop account."""

    __tablename__ = "companies"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text, server_default="UTC")
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())


class Payment(Base):
    """A Whop payment whose charge failed at least once."""

    __tablename__ = "payments"
    __table_args__ = (
        one_of("status", PaymentStatus),
        one_of("next_means", Means),
        one_of("next_trigger", (Trigger.SCHEDULE, Trigger.OPERATOR)),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("retry_count >= 0", name="retry_count"),
        CheckConstraint("(status = 'recovered') = (recovered_at is not null)", name="recovered_at"),
        CheckConstraint(
            "(status = 'pending_retry') = (next_retry_at is not null)", name="next_retry_at"
        ),
        Index(
            "ix_payments_company_failed",
            "company_id",
            text("failed_at desc"),
            text("id desc"),
            postgresql_include=["status", "amount_usd", "amount", "refunded_amount"],
        ),
        Index(
            "ix_payments_company_recovered",
            "company_id",
            "recovered_at",
            postgresql_include=["amount_usd", "amount", "refunded_amount", "recovered_by"],
            postgresql_where=text("status = 'recovered'"),
        ),
        Index(
            "ix_payments_due",
            "next_retry_at",
            postgresql_where=text("status = 'pending_retry'"),
        ),
        Index(
            "ix_payments_open_window",
            "window_ends_at",
            postgresql_where=text("status in ('failed', 'pending_retry')"),
        ),
        Index(
            "ix_payments_open_membership",
            "membership_id",
            postgresql_where=text("status in ('failed', 'pending_retry')"),
        ),
        # The card networks count attempts per card, whatever they were for.
        Index("ix_payments_card", "company_id", "card_last4", "card_brand", "failed_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str] = mapped_column(Text, unique=True)
    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"))
    membership_id: Mapped[str | None] = mapped_column(Text)
    member_id: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    member_name: Mapped[str | None] = mapped_column(Text)
    member_email: Mapped[str | None] = mapped_column(Text)
    product: Mapped[str | None] = mapped_column(Text)
    billing_reason: Mapped[str | None] = mapped_column(Text)

    amount: Mapped[Decimal] = mapped_column(Numeric)
    currency: Mapped[str] = mapped_column(Text)
    amount_usd: Mapped[Decimal | None] = mapped_column(Numeric)
    refunded_amount: Mapped[Decimal] = mapped_column(Numeric, server_default="0")

    reason: Mapped[str] = mapped_column(Text)
    decline_code: Mapped[str | None] = mapped_column(Text)
    decline_class: Mapped[DeclineClass] = mapped_column(Word(DeclineClass))
    card_brand: Mapped[str | None] = mapped_column(Text)
    card_last4: Mapped[str | None] = mapped_column(String(4))
    card_expiry: Mapped[str | None] = mapped_column(Text, comment="year-month, as on the card")
    payment_method_id: Mapped[str | None] = mapped_column(Text)
    manage_url: Mapped[str | None] = mapped_column(Text)
    recovery_url: Mapped[str | None] = mapped_column(Text)

    status: Mapped[PaymentStatus] = mapped_column(Word(PaymentStatus))
    retry_count: Mapped[int] = mapped_column(server_default="0", default=0)
    retryable: Mapped[bool] = mapped_column(server_default=text("true"), default=True)
    whop_failures: Mapped[int | None]
    failed_at: Mapped[datetime] = mapped_column(Time)
    window_ends_at: Mapped[datetime] = mapped_column(Time)
    last_attempt_at: Mapped[datetime] = mapped_column(Time)
    next_retry_at: Mapped[datetime | None] = mapped_column(Time)
    next_means: Mapped[Means] = mapped_column(
        Word(Means), server_default=Means.RETRY, default=Means.RETRY
    )
    next_trigger: Mapped[Trigger] = mapped_column(
        Word(Trigger), server_default=Trigger.SCHEDULE, default=Trigger.SCHEDULE
    )
    whop_next_attempt_at: Mapped[datetime | None] = mapped_column(Time)
    whop_said_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when Whop last announced its next attempt"
    )
    claimed_until: Mapped[datetime | None] = mapped_column(Time)
    recovered_at: Mapped[datetime | None] = mapped_column(Time)
    recovered_by: Mapped[RecoveredBy | None] = mapped_column(Word(RecoveredBy))
    closed_reason: Mapped[ClosedReason | None] = mapped_column(Word(ClosedReason))
    imported: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    held_out: Mapped[bool | None] = mapped_column(comment="null: no holdout was running")
    as_of: Mapped[datetime] = mapped_column(Time, comment="when Whop's newest word was true")
    read_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when we last asked Whop how it stands"
    )
    created_at: Mapped[datetime] = mapped_column(Time)


class Attempt(Base):
    """One try to collect a payment. Ours are committed `open` before anything is sent."""

    __tablename__ = "attempts"
    __table_args__ = (
        one_of("outcome", AttemptOutcome),
        one_of("trigger", Trigger),
        one_of("means", Means),
        UniqueConstraint("payment_id", "number"),
        # Two charges of one payment cannot be in hand at once, whatever the code does.
        Index(
            "uq_attempts_unsettled",
            "payment_id",
            unique=True,
            postgresql_where=text("outcome in ('open', 'pending', 'unknown')"),
        ),
        # Whop does not protect a change of card against being done twice: the ledger does.
        Index(
            "uq_attempts_backup_card",
            "payment_id",
            unique=True,
            postgresql_where=text("means = 'backup_card' and sent_at is not null"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"))
    company_id: Mapped[str] = mapped_column(Text)
    number: Mapped[int]
    trigger: Mapped[Trigger] = mapped_column(Word(Trigger))
    means: Mapped[Means] = mapped_column(
        Word(Means), server_default=Means.RETRY, default=Means.RETRY
    )
    payment_method_id: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[AttemptOutcome] = mapped_column(Word(AttemptOutcome))
    idempotency_key: Mapped[str] = mapped_column(Text, unique=True)
    started_at: Mapped[datetime] = mapped_column(Time)
    sent_at: Mapped[datetime | None] = mapped_column(
        Time, comment="committed just before the charge; null means nothing was ever sent"
    )
    sent_with: Mapped[str | None] = mapped_column(
        Text, comment="which of our keys at Whop the charge carried"
    )
    failures_before: Mapped[int | None] = mapped_column(
        comment="Whop's payments_failed just before the charge"
    )
    finished_at: Mapped[datetime | None] = mapped_column(Time)
    decline_code: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)


class WebhookEvent(Base):
    """The inbox. Not applied and without error: it waits for its payment to be known."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        Index(
            "ix_webhook_events_waiting",
            "payment_id",
            postgresql_where=text("applied_at is null and error is null"),
        ),
        Index(
            "ix_webhook_events_poison", "received_at", postgresql_where=text("error is not null")
        ),
        # Payloads of 2 to 4 KB stay as they are: compressing each costs a fifth of its insert.
        {"postgresql_with": {"toast_tuple_target": 4080}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, unique=True)
    type: Mapped[str] = mapped_column(Text)
    company_id: Mapped[str | None] = mapped_column(Text)
    payment_id: Mapped[str | None] = mapped_column(Text)
    payload: Mapped[Any] = mapped_column(JSONB)
    received_at: Mapped[datetime] = mapped_column(Time)
    applied_at: Mapped[datetime | None] = mapped_column(Time)
    error: Mapped[str | None] = mapped_column(Text)


class Refund(Base):
    """Money given back after a recovery; the newest word per refund."""

    __tablename__ = "refunds"

    refund_id: Mapped[str] = mapped_column(Text, primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    company_id: Mapped[str] = mapped_column(Text)
    amount: Mapped[Decimal] = mapped_column(Numeric)
    status: Mapped[str] = mapped_column(Text)
    as_of: Mapped[datetime] = mapped_column(Time)


class Message(Base):
    """The outbox: written with the failure, sent by the daemon, at most once."""

    __tablename__ = "messages"
    __table_args__ = (
        one_of("state", MessageState),
        UniqueConstraint("payment_id", "step", "channel"),
        Index("ix_messages_due", "due_at", postgresql_where=text("state = 'queued'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"))
    company_id: Mapped[str] = mapped_column(Text)
    step: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    state: Mapped[MessageState] = mapped_column(Word(MessageState))
    due_at: Mapped[datetime] = mapped_column(Time)
    sending_at: Mapped[datetime | None] = mapped_column(Time)
    sent_at: Mapped[datetime | None] = mapped_column(Time)
    provider_id: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)


class Dispute(Base):
    """Whose bank takes a payment back: nothing of theirs is charged any more."""

    __tablename__ = "disputes"

    company_id: Mapped[str] = mapped_column(Text, primary_key=True)
    payment_id: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="the one disputed: a paid one"
    )
    member_id: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    membership_id: Mapped[str | None] = mapped_column(Text)
    heard_at: Mapped[datetime] = mapped_column(Time)


class Request(Base):
    """What a creator wants done about one payment; the daemon honours it within a minute."""

    __tablename__ = "requests"
    __table_args__ = (
        one_of("kind", RequestKind),
        Index("ix_requests_open", "id", postgresql_where=text("done_at is null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    company_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[RequestKind] = mapped_column(Word(RequestKind))
    asked_by: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Time)
    done_at: Mapped[datetime | None] = mapped_column(Time)
    answer: Mapped[str | None] = mapped_column(Text)


class Sync(Base):
    """How far a company's payments have been read back from Whop."""

    __tablename__ = "syncs"

    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(Time, comment="the start of the imported history")
    import_cursor: Mapped[str | None] = mapped_column(Text, comment="the page to go on with")
    imported_at: Mapped[datetime | None] = mapped_column(Time)
    read_until: Mapped[datetime | None] = mapped_column(
        Time, comment="start of the last complete reading"
    )
    claimed_until: Mapped[datetime | None] = mapped_column(Time)
    missing_permissions: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default=text("'{}'::text[]")
    )
    trouble: Mapped[str | None] = mapped_column(Text)


class Heartbeat(Base):
    """One row per running process, so that a silent one is seen."""

    __tablename__ = "heartbeats"

    process: Mapped[str] = mapped_column(Text, primary_key=True)
    instance: Mapped[str] = mapped_column(Text, primary_key=True, comment="host:pid")
    started_at: Mapped[datetime] = mapped_column(Time)
    beat_at: Mapped[datetime] = mapped_column(Time)
    last_cycle_at: Mapped[datetime | None] = mapped_column(Time)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))


class Pace(Base):
    """When the next call of an operation may go out; all daemons with this key share the row."""

    __tablename__ = "paces"

    credential: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="the beginning of the key's hash, never the key"
    )
    operation: Mapped[str] = mapped_column(Text, primary_key=True)
    free_at: Mapped[datetime] = mapped_column(Time)
