"""Attempts to collect a payment: ours, Whop's and members'."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, one_of
from recovery.status import AttemptOutcome, ChargeMethod, Trigger


class Attempt(Base):
    """One attempt to collect a payment. Ours are committed `open` before the charge is sent."""

    __tablename__ = "attempts"
    __table_args__ = (
        one_of("outcome", AttemptOutcome),
        one_of("trigger", Trigger),
        one_of("charge_method", ChargeMethod),
        UniqueConstraint("payment_id", "number"),
        # One payment cannot have two running charges, whatever the code does.
        Index(
            "uq_attempts_unsettled",
            "payment_id",
            unique=True,
            postgresql_where=text("outcome in ('open', 'pending', 'unknown')"),
        ),
        # Whop does not prevent a change of card from being done twice, so the database does.
        Index(
            "uq_attempts_backup_card",
            "payment_id",
            unique=True,
            postgresql_where=text("charge_method = 'backup_card' and sent_at is not null"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"))
    company_id: Mapped[str] = mapped_column(Text)
    number: Mapped[int]
    trigger: Mapped[Trigger] = mapped_column(Word(Trigger))
    charge_method: Mapped[ChargeMethod] = mapped_column(
        Word(ChargeMethod), server_default=ChargeMethod.RETRY, default=ChargeMethod.RETRY
    )
    payment_method_id: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[AttemptOutcome] = mapped_column(Word(AttemptOutcome))
    idempotency_key: Mapped[str] = mapped_column(Text, unique=True)
    planned_at: Mapped[datetime | None] = mapped_column(
        Time, comment="ours: when it was to be made; a cycle may come later"
    )
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
    retryable_after: Mapped[bool | None] = mapped_column(
        comment="ours, declined: whether Whop would allow another"
    )
    detail: Mapped[str | None] = mapped_column(Text)
