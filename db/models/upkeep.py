"""The inbox, and the state of our processes."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, Numeric, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, one_of
from recovery.status import SyncError


class WebhookEvent(Base):
    """The inbox. An event that is not applied and has no error waits until its payment is known."""

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
        # Payloads of 2 to 4 KB are not compressed, which would take a fifth of each insert.
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


class Sync(Base):
    """How far a company's payments have been read back from Whop."""

    __tablename__ = "syncs"
    __table_args__ = (one_of("error", SyncError),)

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
    error: Mapped[SyncError | None] = mapped_column(Word(SyncError))
    error_detail: Mapped[str | None] = mapped_column(Text, comment="the error's detail, for people")


class Heartbeat(Base):
    """One row per running process, so that a stopped one is noticed."""

    __tablename__ = "heartbeats"

    process: Mapped[str] = mapped_column(Text, primary_key=True)
    instance: Mapped[str] = mapped_column(Text, primary_key=True, comment="host:pid")
    started_at: Mapped[datetime] = mapped_column(Time)
    beat_at: Mapped[datetime] = mapped_column(Time)
    last_cycle_at: Mapped[datetime | None] = mapped_column(Time)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))


class RateLimit(Base):
    """When the next call of an operation may be sent. All daemons with this key share the row."""

    __tablename__ = "rate_limits"

    credential: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="the beginning of the key's hash, never the key"
    )
    operation: Mapped[str] = mapped_column(Text, primary_key=True)
    free_at: Mapped[datetime] = mapped_column(Time)


class Rollup(Base):
    """Up to which day a company's daily sums are stored (db/reporting/rollup.py)."""

    __tablename__ = "rollups"

    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"), primary_key=True)
    time_zone: Mapped[str] = mapped_column(Text, comment="whose days they are")
    kept_until: Mapped[date] = mapped_column(comment="the first day that is not kept")


class DailyFigures(Base):
    """The sums of a local day in dollars: failures, and what has become of those whose window is
    over (`closed_…`), by day of failure; the rest by day of payment. `before_…`: of before the
    set-up, in none of the others."""

    __tablename__ = "daily_figures"

    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    failures: Mapped[int]
    unconverted: Mapped[int]
    closed: Mapped[int]
    closed_recovered: Mapped[int]
    by_retry: Mapped[int]
    by_click: Mapped[int]
    by_member: Mapped[int]
    without_us: Mapped[int]
    before_failures: Mapped[int]
    before_recovered: Mapped[int]
    failed_usd: Mapped[Decimal] = mapped_column(Numeric)
    closed_failed_usd: Mapped[Decimal] = mapped_column(Numeric)
    closed_kept_usd: Mapped[Decimal] = mapped_column(Numeric)
    closed_ours_usd: Mapped[Decimal] = mapped_column(Numeric)
    retry_usd: Mapped[Decimal] = mapped_column(Numeric)
    click_usd: Mapped[Decimal] = mapped_column(Numeric)
    member_usd: Mapped[Decimal] = mapped_column(Numeric)
    without_us_usd: Mapped[Decimal] = mapped_column(Numeric)
    paid_usd: Mapped[Decimal] = mapped_column(Numeric, comment="before anything was given back")
    before_usd: Mapped[Decimal] = mapped_column(Numeric)
    closed_failed_squares: Mapped[float]
    closed_products: Mapped[float]
    closed_kept_squares: Mapped[float]
    paid_squares: Mapped[float]


class MonthEnd(Base):
    """What a month had brought when it ended: later refunds do not change what was told."""

    __tablename__ = "month_ends"

    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True, comment="its first day")
    recovered_usd: Mapped[Decimal] = mapped_column(Numeric)
    ours_usd: Mapped[Decimal] = mapped_column(Numeric)
    taken_at: Mapped[datetime] = mapped_column(Time)


class PooledGain(Base):
    """What creators gained together, as it was on a day. It names no company and cannot be traced
    to one (recovery/lift/pooling.py). Shares are 0 to 1."""

    __tablename__ = "pooled_gains"

    day: Mapped[date] = mapped_column(primary_key=True, comment="in UTC")
    companies: Mapped[int]
    members: Mapped[int]
    gain: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    between: Mapped[float] = mapped_column(comment="the variance of the companies' true gains")


class LateChange(Base):
    """A moment whose day's sums may be outdated: that day is read raw until it is summed up
    again."""

    __tablename__ = "late_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    company_id: Mapped[str] = mapped_column(Text, index=True)
    happened_at: Mapped[datetime] = mapped_column(Time)
