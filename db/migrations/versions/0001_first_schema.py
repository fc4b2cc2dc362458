"""The first schema: payments, attempts, the inbox, the outbox, companies, heartbeats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "companies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name="pk_companies"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False, comment="host:pid"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_cycle_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "details",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("process", "instance", name="pk_heartbeats"),
    )
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=True),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_events"),
        sa.UniqueConstraint("event_id", name="uq_webhook_events_event_id"),
        postgresql_with={"toast_tuple_target": 4080},
    )
    op.create_index(
        "ix_webhook_events_poison",
        "webhook_events",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("error is not null"),
    )
    op.create_index(
        "ix_webhook_events_waiting",
        "webhook_events",
        ["payment_id"],
        unique=False,
        postgresql_where=sa.text("applied_at is null and error is null"),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("membership_id", sa.Text(), nullable=True),
        sa.Column("member_id", sa.Text(), nullable=True),
        sa.Column("member_name", sa.Text(), nullable=True),
        sa.Column("member_email", sa.Text(), nullable=True),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("billing_reason", sa.Text(), nullable=True),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_usd", sa.Numeric(), nullable=True),
        sa.Column("refunded_amount", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("decline_class", sa.Text(), nullable=False),
        sa.Column("card_brand", sa.Text(), nullable=True),
        sa.Column("card_last4", sa.String(length=4), nullable=True),
        sa.Column("manage_url", sa.Text(), nullable=True),
        sa.Column("recovery_url", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("retry_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retryable", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("whop_failures", sa.Integer(), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("whop_next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recovered_by", sa.Text(), nullable=True),
        sa.Column("closed_reason", sa.Text(), nullable=True),
        sa.Column(
            "as_of",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when Whop's newest word was true",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'pending_retry') = (next_retry_at is not null)",
            name=op.f("ck_payments_next_retry_at"),
        ),
        sa.CheckConstraint(
            "(status = 'recovered') = (recovered_at is not null)",
            name=op.f("ck_payments_recovered_at"),
        ),
        sa.CheckConstraint(
            "status in ('failed', 'pending_retry', 'recovered', 'permanent_fail')",
            name=op.f("ck_payments_status"),
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_payments_amount")),
        sa.CheckConstraint("retry_count >= 0", name=op.f("ck_payments_retry_count")),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_payments_company_id"),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.UniqueConstraint("payment_id", name="uq_payments_payment_id"),
    )
    op.create_index(
        "ix_payments_company_failed",
        "payments",
        ["company_id", sa.literal_column("failed_at desc"), sa.literal_column("id desc")],
        unique=False,
        postgresql_include=["status", "amount_usd", "amount", "refunded_amount"],
    )
    op.create_index(
        "ix_payments_company_recovered",
        "payments",
        ["company_id", "recovered_at"],
        unique=False,
        postgresql_include=["amount_usd", "amount", "refunded_amount", "recovered_by"],
        postgresql_where=sa.text("status = 'recovered'"),
    )
    op.create_index(
        "ix_payments_due",
        "payments",
        ["next_retry_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending_retry'"),
    )
    op.create_index(
        "ix_payments_open_membership",
        "payments",
        ["membership_id"],
        unique=False,
        postgresql_where=sa.text("status in ('failed', 'pending_retry')"),
    )
    op.create_index(
        "ix_payments_open_window",
        "payments",
        ["window_ends_at"],
        unique=False,
        postgresql_where=sa.text("status in ('failed', 'pending_retry')"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "sent_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="committed just before the charge; null means nothing was ever sent",
        ),
        sa.Column(
            "failures_before",
            sa.Integer(),
            nullable=True,
            comment="Whop's payments_failed just before the charge",
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome in ('open', 'paid', 'declined', 'pending', 'refused', 'unknown')",
            name=op.f("ck_attempts_outcome"),
        ),
        sa.CheckConstraint(
            "trigger in ('schedule', 'operator', 'whop', 'member')",
            name=op.f("ck_attempts_trigger"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name="fk_attempts_payment_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.UniqueConstraint("idempotency_key", name="uq_attempts_idempotency_key"),
        sa.UniqueConstraint("payment_id", "number", name="uq_attempts_payment_id_number"),
    )
    op.create_index(
        "uq_attempts_unsettled",
        "attempts",
        ["payment_id"],
        unique=True,
        postgresql_where=sa.text("outcome in ('open', 'pending', 'unknown')"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sending_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('queued', 'sending', 'sent', 'failed', 'unknown', 'skipped')",
            name=op.f("ck_messages_state"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name="fk_messages_payment_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint(
            "payment_id", "step", "channel", name="uq_messages_payment_id_step_channel"
        ),
    )
    op.create_index(
        "ix_messages_due",
        "messages",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_table(
        "refunds",
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name="fk_refunds_payment_id"
        ),
        sa.PrimaryKeyConstraint("refund_id", name="pk_refunds"),
    )
    op.create_index("ix_refunds_payment_id", "refunds", ["payment_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_refunds_payment_id", table_name="refunds")
    op.drop_table("refunds")
    op.drop_index(
        "ix_messages_due", table_name="messages", postgresql_where=sa.text("state = 'queued'")
    )
    op.drop_table("messages")
    op.drop_index(
        "uq_attempts_unsettled",
        table_name="attempts",
        postgresql_where=sa.text("outcome in ('open', 'pending', 'unknown')"),
    )
    op.drop_table("attempts")
    op.drop_index(
        "ix_payments_open_window",
        table_name="payments",
        postgresql_where=sa.text("status in ('failed', 'pending_retry')"),
    )
    op.drop_index(
        "ix_payments_open_membership",
        table_name="payments",
        postgresql_where=sa.text("status in ('failed', 'pending_retry')"),
    )
    op.drop_index(
        "ix_payments_due",
        table_name="payments",
        postgresql_where=sa.text("status = 'pending_retry'"),
    )
    op.drop_index(
        "ix_payments_company_recovered",
        table_name="payments",
        postgresql_include=["amount_usd", "amount", "refunded_amount", "recovered_by"],
        postgresql_where=sa.text("status = 'recovered'"),
    )
    op.drop_index(
        "ix_payments_company_failed",
        table_name="payments",
        postgresql_include=["status", "amount_usd", "amount", "refunded_amount"],
    )
    op.drop_table("payments")
    op.drop_index(
        "ix_webhook_events_waiting",
        table_name="webhook_events",
        postgresql_where=sa.text("applied_at is null and error is null"),
    )
    op.drop_index(
        "ix_webhook_events_poison",
        table_name="webhook_events",
        postgresql_where=sa.text("error is not null"),
    )
    op.drop_table("webhook_events")
    op.drop_table("heartbeats")
    op.drop_table("companies")
