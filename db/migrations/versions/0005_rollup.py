"""Daily sums, what makes them stale, and indexes that start with the company."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OPEN = sa.text("status in ('failed', 'pending_retry')")
# What a day's sums are made of. Whether a payment is recovered shows in `recovered_at`.
SUMMED = (
    "company_id",
    "failed_at",
    "amount",
    "amount_usd",
    "refunded_amount",
    "recovered_at",
    "recovered_by",
)


def upgrade() -> None:
    create_tables()
    create_triggers()
    op.drop_index("ix_payments_open_window", table_name="payments")
    op.create_index(
        "ix_payments_open_window",
        "payments",
        ["company_id", "window_ends_at"],
        postgresql_include=["amount_usd"],
        postgresql_where=OPEN,
    )


def create_tables() -> None:
    op.create_table(
        "rollups",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False, comment="whose days they are"),
        sa.Column(
            "kept_until", sa.Date(), nullable=False, comment="the first day that is not kept"
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_rollups_company_id"),
        sa.PrimaryKeyConstraint("company_id", name="pk_rollups"),
    )
    op.create_table(
        "daily_figures",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_usd", sa.Numeric(), nullable=False),
        sa.Column("unconverted", sa.Integer(), nullable=False),
        sa.Column("by_retry", sa.Integer(), nullable=False),
        sa.Column("by_member", sa.Integer(), nullable=False),
        sa.Column("without_us", sa.Integer(), nullable=False),
        sa.Column(
            "retry_usd",
            sa.Numeric(),
            nullable=False,
            comment="net of refunds, as the next two",
        ),
        sa.Column("member_usd", sa.Numeric(), nullable=False),
        sa.Column("without_us_usd", sa.Numeric(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name="fk_daily_figures_company_id"
        ),
        sa.PrimaryKeyConstraint("company_id", "day", name="pk_daily_figures"),
    )
    op.create_table(
        "late_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_late_changes"),
    )
    op.create_index("ix_late_changes_company_id", "late_changes", ["company_id"])


def create_triggers() -> None:
    """Not for new payments: that is the receiver's hot path (db/reporting/rollup.py)."""
    op.execute("""
        create function note_late_change() returns trigger language plpgsql as $$
        declare
            failure_changed boolean := (old.company_id, old.failed_at, old.amount_usd)
                is distinct from (new.company_id, new.failed_at, new.amount_usd);
        begin
            insert into late_changes (company_id, happened_at)
            select distinct company_id, at
            from (
                values (old.company_id, old.recovered_at), (new.company_id, new.recovered_at),
                    (old.company_id, case when failure_changed then old.failed_at end),
                    (new.company_id, case when failure_changed then new.failed_at end)
            ) as touched (company_id, at)
            where at is not null;
            return null;
        end
        $$
    """)
    before, after = (", ".join(f"{row}.{name}" for name in SUMMED) for row in ("old", "new"))
    op.execute(f"""
        create trigger note_late_change after update on payments for each row
        when (({before}) is distinct from ({after})) execute function note_late_change()
    """)
    op.execute("""
        create trigger note_removal after delete on payments
        for each row execute function note_late_change()
    """)


def downgrade() -> None:
    op.drop_index("ix_payments_open_window", table_name="payments")
    op.create_index(
        "ix_payments_open_window", "payments", ["window_ends_at"], postgresql_where=OPEN
    )
    op.execute("drop trigger note_removal on payments")
    op.execute("drop trigger note_late_change on payments")
    op.execute("drop function note_late_change")
    for table in ("late_changes", "daily_figures", "rollups"):
        op.drop_table(table)
