"""What the recovery engine keeps: cards, holdout, requests, and how far Whop has been read back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
MEANS = "means in ('retry', 'backup_card')"


def upgrade() -> None:
    for column in (
        sa.Column("user_id", sa.Text()),
        sa.Column("card_expiry", sa.Text(), comment="year-month, as on the card"),
        sa.Column("payment_method_id", sa.Text()),
        sa.Column("imported", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("held_out", sa.Boolean(), comment="null: no holdout was running"),
        sa.Column("next_means", sa.Text(), server_default="retry", nullable=False),
        sa.Column("next_trigger", sa.Text(), server_default="schedule", nullable=False),
        sa.Column("whop_said_at", TIME, comment="when Whop last announced its next attempt"),
        sa.Column("read_at", TIME, comment="when we last asked Whop how it stands"),
    ):
        op.add_column("payments", column)
    op.create_check_constraint(op.f("ck_payments_next_means"), "payments", f"next_{MEANS}")
    op.create_check_constraint(
        op.f("ck_payments_next_trigger"), "payments", "next_trigger in ('schedule', 'operator')"
    )
    op.create_index(
        "ix_payments_card", "payments", ["company_id", "card_last4", "card_brand", "failed_at"]
    )
    op.add_column("attempts", sa.Column("means", sa.Text(), server_default="retry", nullable=False))
    op.add_column("attempts", sa.Column("payment_method_id", sa.Text()))
    op.add_column(
        "attempts",
        sa.Column("sent_with", sa.Text(), comment="which of our keys at Whop the charge carried"),
    )
    op.create_check_constraint(op.f("ck_attempts_means"), "attempts", MEANS)
    op.create_index(
        "uq_attempts_backup_card",
        "attempts",
        ["payment_id"],
        unique=True,
        postgresql_where=sa.text("means = 'backup_card' and sent_at is not null"),
    )
    create_disputes()
    create_requests()
    create_syncs()


def create_disputes() -> None:
    op.create_table(
        "disputes",
        sa.Column("payment_id", sa.Text(), nullable=False, comment="the one disputed: a paid one"),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("membership_id", sa.Text()),
        sa.Column("heard_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("company_id", "payment_id", name="pk_disputes"),
    )


def create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("done_at", TIME),
        sa.Column("answer", sa.Text()),
        sa.CheckConstraint("kind in ('stop', 'hasten')", name=op.f("ck_requests_kind")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name="fk_requests_payment_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_index(
        "ix_requests_open", "requests", ["id"], postgresql_where=sa.text("done_at is null")
    )
    op.create_index("ix_requests_payment_id", "requests", ["payment_id"])


def create_syncs() -> None:
    op.create_table(
        "syncs",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False, comment="the start of the imported history"),
        sa.Column("import_cursor", sa.Text(), comment="the page to go on with"),
        sa.Column("imported_at", TIME),
        sa.Column("read_until", TIME, comment="start of the last complete reading"),
        sa.Column("claimed_until", TIME),
        sa.Column(
            "missing_permissions",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column("trouble", sa.Text()),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_syncs_company_id"),
        sa.PrimaryKeyConstraint("company_id", name="pk_syncs"),
    )


def downgrade() -> None:
    op.drop_table("syncs")
    op.drop_table("requests")
    op.drop_table("disputes")
    op.drop_index("uq_attempts_backup_card", table_name="attempts")
    op.drop_constraint(op.f("ck_attempts_means"), "attempts")
    op.drop_column("attempts", "sent_with")
    op.drop_column("attempts", "payment_method_id")
    op.drop_column("attempts", "means")
    op.drop_index("ix_payments_card", table_name="payments")
    op.drop_constraint(op.f("ck_payments_next_trigger"), "payments")
    op.drop_constraint(op.f("ck_payments_next_means"), "payments")
    for name in (
        "read_at",
        "whop_said_at",
        "next_trigger",
        "next_means",
        "held_out",
        "imported",
        "payment_method_id",
        "card_expiry",
        "user_id",
    ):
        op.drop_column("payments", name)
