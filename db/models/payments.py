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
    Numeric,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, one_of, same_as
from db.models.payment_indexes import INDEXES
from recovery.declines import DeclineClass
from recovery.standing import Hold
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, RecoveredBy, Step, Trigger

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
        *INDEXES,
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
    country: Mapped[str | None] = mapped_column(Text, comment="of the billing address")

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
    assigned_share: Mapped[int | None] = mapped_column(
        comment="the holdout's share in percent when it was drawn; null: none was running"
    )
    diary_begun: Mapped[bool] = mapped_column(
        server_default=text("false"), default=False, comment="its first decision is written down"
    )
    observed_at: Mapped[datetime] = mapped_column(Time, comment="when Whop's newest word was true")
    read_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when we last asked Whop how it stands"
    )
    created_at: Mapped[datetime] = mapped_column(Time)
