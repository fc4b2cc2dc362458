"""Refunds, disputes and memberships: what decides whether a payment is collected any more."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, Numeric, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, one_of, same_as
from recovery.standing import Renewal


class Refund(Base):
    """A refund, as last reported."""

    __tablename__ = "refunds"
    __table_args__ = (Index("ix_refunds_company_refunded", "company_id", "refunded_at"),)

    refund_id: Mapped[str] = mapped_column(Text, primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    company_id: Mapped[str] = mapped_column(Text)
    amount: Mapped[Decimal] = mapped_column(Numeric)
    currency: Mapped[str | None] = mapped_column(Text, comment="null: the payment's")
    status: Mapped[str] = mapped_column(Text)
    refunded_at: Mapped[datetime] = mapped_column(
        Time, default=same_as("observed_at"), comment="when it was made, or first heard of"
    )
    observed_at: Mapped[datetime] = mapped_column(Time)


class Dispute(Base):
    """A disputed payment, as last told, and whose it is (recovery/standing.py)."""

    __tablename__ = "disputes"
    __table_args__ = (
        Index("ix_disputes_member", "member_id", "company_id"),
        Index("ix_disputes_user", "user_id", "company_id"),
        Index("ix_disputes_membership", "membership_id", "company_id"),
        Index("ix_disputes_company_opened", "company_id", "opened_at"),
    )

    company_id: Mapped[str] = mapped_column(Text, primary_key=True)
    payment_id: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="the one disputed: a paid one"
    )
    member_id: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    membership_id: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, comment="Whop's; an inquiry's begins with warning_")
    observed_at: Mapped[datetime] = mapped_column(Time, comment="when the status was true")
    amount: Mapped[Decimal | None] = mapped_column(
        Numeric, comment="the largest it was said to be about; null: all"
    )
    currency: Mapped[str | None] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(
        Time, default=same_as("observed_at"), comment="when it was opened, or first heard of"
    )
    recorded_at: Mapped[datetime] = mapped_column(Time)
    read_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when we last asked Whop how it stands"
    )


class Membership(Base):
    """The newest words about a membership, whether or not a payment of it is known."""

    __tablename__ = "memberships"
    __table_args__ = (
        one_of("renewal", Renewal),
        Index("ix_memberships_member", "member_id", "company_id"),
        Index("ix_memberships_user", "user_id", "company_id"),
    )

    # In this order in the key: it is looked up by memberships of many companies at once.
    membership_id: Mapped[str] = mapped_column(Text, primary_key=True)
    company_id: Mapped[str] = mapped_column(Text, primary_key=True)
    member_id: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    product_id: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when it was bought; null: a draft, or not told"
    )
    renewal: Mapped[Renewal | None] = mapped_column(Word(Renewal))
    renewal_since: Mapped[datetime | None] = mapped_column(Time)
    renewal_observed_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when that was true; a newer word replaces it"
    )
    paused: Mapped[bool | None]
    paused_since: Mapped[datetime | None] = mapped_column(Time)
    paused_observed_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when that was true; a newer word replaces it"
    )
    read_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when we last asked Whop how it stands"
    )
