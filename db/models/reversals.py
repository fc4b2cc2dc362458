"""Refunds and disputes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Numeric, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time


class Refund(Base):
    """A refund, as last reported."""

    __tablename__ = "refunds"

    refund_id: Mapped[str] = mapped_column(Text, primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    company_id: Mapped[str] = mapped_column(Text)
    amount: Mapped[Decimal] = mapped_column(Numeric)
    status: Mapped[str] = mapped_column(Text)
    observed_at: Mapped[datetime] = mapped_column(Time)


class Dispute(Base):
    """A disputed payment, and whose it is: this member is not charged any more."""

    __tablename__ = "disputes"

    company_id: Mapped[str] = mapped_column(Text, primary_key=True)
    payment_id: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="the one disputed: a paid one"
    )
    member_id: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    membership_id: Mapped[str | None] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(Time)
