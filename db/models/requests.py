"""What creators ask for, and the audit log of what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, one_of
from recovery.status import Action, RequestKind


class Request(Base):
    """What a creator asks for; the daemon does it within a minute. A replay is about all poison
    events of the company, the other kinds about one payment."""

    __tablename__ = "requests"
    __table_args__ = (
        one_of("kind", RequestKind),
        CheckConstraint("(payment_id is null) = (kind = 'replay')", name="payment_id"),
        Index("ix_requests_open", "id", postgresql_where=text("done_at is null")),
        Index(
            "uq_requests_replay",
            "company_id",
            unique=True,
            postgresql_where=text("kind = 'replay' and done_at is null"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.payment_id"), index=True)
    company_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[RequestKind] = mapped_column(Word(RequestKind))
    requested_by: Mapped[str] = mapped_column(Text)
    requested_at: Mapped[datetime] = mapped_column(Time)
    done_at: Mapped[datetime | None] = mapped_column(Time)
    answer: Mapped[str | None] = mapped_column(Text)
    tried_up_to: Mapped[int | None] = mapped_column(
        BigInteger, comment="a replay goes on after this event"
    )


class AuditEntry(Base):
    """The audit log: what somebody did in the dashboard or by a command, and when."""

    __tablename__ = "audit_log"
    __table_args__ = (
        one_of("action", Action),
        Index("ix_audit_log_company", "company_id", text("id desc")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"))
    done_at: Mapped[datetime] = mapped_column(Time)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[Action] = mapped_column(Word(Action))
    payment_id: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
