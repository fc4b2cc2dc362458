"""What the retry policy has decided, and by what: it is added to and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, one_of
from recovery.status import ChargeMethod


class RetryDecision(Base):
    """A row for each answer of the policy that differs from the one before, "no" included
    (recovery/retrying/diary.py). Triggers refuse to change or delete one."""

    __tablename__ = "retry_decisions"
    __table_args__ = (
        one_of("charge_method", ChargeMethod),
        Index("ix_retry_decisions_payment", "payment_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    company_id: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime] = mapped_column(Time)
    policy: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, comment="all that was known")
    retry_at: Mapped[datetime | None] = mapped_column(Time, comment="null: no charge")
    charge_method: Mapped[ChargeMethod | None] = mapped_column(Word(ChargeMethod))
    why: Mapped[str] = mapped_column(Text, comment="what moved the charge, or why there is none")
    possible: Mapped[list[list[Any]]] = mapped_column(
        JSONB, comment="the moments that it was chosen among, each with its probability"
    )
