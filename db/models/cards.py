"""Cards that are not charged any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word
from recovery.declines import DeclineClass


class CardBan(Base):
    """A decline after which its card is not charged again, for any payment of the same member.

    It outlives its payment, so nothing refers to that.
    """

    __tablename__ = "card_bans"
    __table_args__ = (
        Index("ix_card_bans_member", "member_id"),
        Index("ix_card_bans_user", "user_id"),
        Index("ix_card_bans_membership", "membership_id"),
        Index("ix_card_bans_new", "recorded_at", postgresql_where=text("applied_at is null")),
    )

    payment_id: Mapped[str] = mapped_column(Text, primary_key=True)
    attempt: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="which charge of the payment was declined"
    )
    decline_class: Mapped[DeclineClass] = mapped_column(Word(DeclineClass), primary_key=True)
    decline_code: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="empty: the words alone said so"
    )
    company_id: Mapped[str] = mapped_column(Text)
    member_id: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    membership_id: Mapped[str | None] = mapped_column(Text)
    payment_method_id: Mapped[str | None] = mapped_column(Text)
    card_brand: Mapped[str | None] = mapped_column(Text)
    card_last4: Mapped[str | None] = mapped_column(String(4))
    card_expiry: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    observed_at: Mapped[datetime] = mapped_column(
        Time, comment="when this charge was first told of"
    )
    recorded_at: Mapped[datetime] = mapped_column(Time)
    applied_at: Mapped[datetime | None] = mapped_column(
        Time, comment="when the member's other payments heard of it"
    )
