"""Failed payments."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, index_prefix, one_of, same_as
from recovery.declines import DeclineClass
from recovery.standing import Hold
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, RecoveredBy, Step, Trigger

MONEY = ("failed_amount_usd", "kept_usd")
FILTERS = ("decline_class", "product", "recovered_by", "since_setup")
CLOSING = ("recovered_at", "window_ends_at", "imported", "first_decline_class")
# Nobody knows a payment without a recovery window, and a test is not about money.
SINCE_SETUP = """
case
    when window_ends_at <= failed_at or decline_class = 'test' or first_decline_class = 'test'
        then null
    else not (imported and least(window_ends_at, recovered_at) <= created_at)
end
"""


class Payment(Base):
    """A Whop payment whose charge failed at least once."""

    __tablename__ = "payments"
    __table_args__ = (
        one_of("status", PaymentStatus),
        one_of("next_charge_method", ChargeMethod),
        one_of("next_trigger", (Trigger.SCHEDULE, Trigger.CREATOR)),
        one_of("next_step", Step),
        one_of("hold", Hold),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("retry_count >= 0", name="retry_count"),
        CheckConstraint("(status = 'recovered') = (recovered_at is not null)", name="recovered_at"),
        CheckConstraint("(next_step is null) = (next_message_at is null)", name="next_message_at"),
        CheckConstraint(
            "(status = 'pending_retry') = (next_retry_at is not null)", name="next_retry_at"
        ),
        # For sorting, filtering and searching the list of payments. Each order's index includes the
        # filters, so that rare or missing matches are not searched for in the table. The first one
        # also includes what the insights sum up. An index takes no column of more than 2 kB.
        Index(
            "ix_payments_newest",
            "company_id",
            text("failed_at desc"),
            text("id desc"),
            postgresql_include=["status", "amount_usd", *MONEY, *FILTERS, *CLOSING],
        ),
        Index(
            "ix_payments_largest",
            "company_id",
            text("coalesce(amount_usd, 0) desc"),
            text("id desc"),
            postgresql_include=["status", "amount_usd", "failed_at", *FILTERS],
        ),
        Index("ix_payments_decline", "company_id", "decline_class", "product"),
        # For giving titles to the payments of a product once Whop has told its title.
        Index(
            "ix_payments_untitled",
            "company_id",
            "product_id",
            postgresql_where=text("product is null and product_id is not null"),
        ),
        index_prefix("ix_payments_name", "member_name"),
        index_prefix("ix_payments_email", "member_email"),
        Index(
            "ix_payments_company_recovered",
            "company_id",
            "recovered_at",
            postgresql_include=["amount_usd", "kept_usd", "recovered_by", "since_setup"],
            postgresql_where=text("status = 'recovered'"),
        ),
        Index(
            "ix_payments_due",
            "next_retry_at",
            postgresql_where=text("status = 'pending_retry'"),
        ),
        Index(
            "ix_payments_open_window",
            "company_id",
            "window_ends_at",
            postgresql_include=["amount_usd", "since_setup"],
            postgresql_where=text("status in ('failed', 'pending_retry')"),
        ),
        Index(
            "ix_payments_open_membership",
            "membership_id",
            postgresql_where=text("status in ('failed', 'pending_retry')"),
        ),
        Index(
            "ix_payments_message_due",
            "next_message_at",
            postgresql_where=text("next_message_at is not null"),
        ),
        # The card networks count attempts per card, for any payment.
        Index("ix_payments_card", "company_id", "card_last4", "card_brand", "failed_at"),
        # For the lift and the baseline: only a few payments are in these, or none.
        Index(
            "ix_payments_drawn",
            "company_id",
            "member_id",
            "failed_at",
            "id",
            postgresql_include=[
                "held_out",
                "window_ends_at",
                "status",
                "recovered_by",
                *MONEY,
                "since_setup",
            ],
            postgresql_where=text(
                "held_out is not null and member_id is not null and not imported"
            ),
        ),
        Index(
            "ix_payments_imported",
            "company_id",
            postgresql_include=[
                "window_ends_at",
                "created_at",
                "status",
                "recovered_by",
                *MONEY,
                "since_setup",
            ],
            postgresql_where=text("imported"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str] = mapped_column(Text, unique=True)
    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"))
    membership_id: Mapped[str | None] = mapped_column(Text)
    member_id: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    member_name: Mapped[str | None] = mapped_column(Text)
    member_email: Mapped[str | None] = mapped_column(Text)
    product_id: Mapped[str | None] = mapped_column(Text)
    product: Mapped[str | None] = mapped_column(Text, comment="the product's title")
    billing_reason: Mapped[str | None] = mapped_column(Text)

    amount: Mapped[Decimal] = mapped_column(Numeric, comment="paid; what is owed until then")
    currency: Mapped[str] = mapped_column(Text)
    amount_usd: Mapped[Decimal | None] = mapped_column(Numeric)
    failed_amount: Mapped[Decimal] = mapped_column(
        Numeric, default=same_as("amount"), comment="what was owed"
    )
    failed_currency: Mapped[str] = mapped_column(Text, default=same_as("currency"))
    failed_amount_usd: Mapped[Decimal | None] = mapped_column(
        Numeric, default=same_as("amount_usd")
    )
    refunded_amount: Mapped[Decimal] = mapped_column(Numeric, server_default="0")
    disputed_amount: Mapped[Decimal] = mapped_column(
        Numeric, server_default="0", default=0, comment="what a dispute takes, open or lost"
    )
    kept_usd: Mapped[Decimal | None] = mapped_column(
        Numeric, comment="what is left once it is paid, in dollars; null: unpaid, or not known"
    )
    prices: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB, comment="Whop's words of the amounts, with their times; null: the first report's"
    )

    reason: Mapped[str] = mapped_column(Text)
    decline_code: Mapped[str | None] = mapped_column(Text)
    decline_class: Mapped[DeclineClass] = mapped_column(Word(DeclineClass))
    first_decline_code: Mapped[str | None] = mapped_column(Text)
    first_decline_class: Mapped[DeclineClass | None] = mapped_column(
        Word(DeclineClass), comment="what the renewal failed for, whatever was answered later"
    )
    instrument_name: Mapped[str | None] = mapped_column(
        Text, comment="what was charged: card, PayPal, bank account"
    )
    card_brand: Mapped[str | None] = mapped_column(Text)
    card_last4: Mapped[str | None] = mapped_column(String(4))
    card_expiry: Mapped[str | None] = mapped_column(Text, comment="year-month, as on the card")
    payment_method_id: Mapped[str | None] = mapped_column(Text)
    payment_method_type: Mapped[str | None] = mapped_column(Text)
    recovery_url: Mapped[str | None] = mapped_column(Text)

    status: Mapped[PaymentStatus] = mapped_column(Word(PaymentStatus))
    retry_count: Mapped[int] = mapped_column(server_default="0", default=0)
    retryable: Mapped[bool] = mapped_column(server_default=text("true"), default=True)
    whop_failures: Mapped[int | None]
    failed_at: Mapped[datetime] = mapped_column(Time)
    window_ends_at: Mapped[datetime] = mapped_column(Time)
    last_attempt_at: Mapped[datetime] = mapped_column(Time)
    next_retry_at: Mapped[datetime | None] = mapped_column(Time)
    next_charge_method: Mapped[ChargeMethod] = mapped_column(
        Word(ChargeMethod), server_default=ChargeMethod.RETRY, default=ChargeMethod.RETRY
    )
    next_trigger: Mapped[Trigger] = mapped_column(
        Word(Trigger), server_default=Trigger.SCHEDULE, default=Trigger.SCHEDULE
    )
    whop_next_attempt_at: Mapped[datetime | None] = mapped_column(Time)
    whop_announced_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when Whop last announced its next attempt"
    )
    whop_plan_told: Mapped[bool] = mapped_column(
        server_default=text("false"), default=False, comment="Whop has announced an attempt once"
    )
    claimed_until: Mapped[datetime | None] = mapped_column(Time)
    recovered_at: Mapped[datetime | None] = mapped_column(Time)
    recovered_by: Mapped[RecoveredBy | None] = mapped_column(Word(RecoveredBy))
    closed_reason: Mapped[ClosedReason | None] = mapped_column(Word(ClosedReason))
    hold: Mapped[Hold | None] = mapped_column(
        Word(Hold), comment="why it is neither charged nor written about while it is unpaid"
    )
    next_step: Mapped[Step | None] = mapped_column(
        Word(Step), comment="the message to the member that is planned"
    )
    next_message_at: Mapped[datetime | None] = mapped_column(Time)
    imported: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    since_setup: Mapped[bool | None] = mapped_column(
        Computed(SINCE_SETUP, persisted=True),
        comment="false: it was over before the set-up; null: in no figure, since it is no real "
        "payment",
    )
    held_out: Mapped[bool | None] = mapped_column(comment="null: no holdout was running")
    observed_at: Mapped[datetime] = mapped_column(Time, comment="when Whop's newest word was true")
    read_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when we last asked Whop how it stands"
    )
    created_at: Mapped[datetime] = mapped_column(Time)
