"""The diary of what the retry policy decides, and what it needs to see: how Whop treats a company's
payments, where a member lives, when a retry was planned, and with which share a holdout was drawn.

Payments of before have no first decision to be written: it was made by a policy that is no more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
HABITS = "how Whop was seen to treat its payments, by kind of payment method"
SHARE = "the holdout's share in percent when it was drawn; null: none was running"
PLANNED = "ours: when it was to be made; a cycle may come later"
RETRYABLE = "ours, declined: whether Whop would allow another"
KEEP = """
create function keep_retry_decisions() returns trigger language plpgsql as $$
begin
    raise exception 'a decision is written down for good';
end
$$
"""
GUARD = """
create trigger keep_retry_decisions before update or delete on retry_decisions
for each row execute function keep_retry_decisions()
"""


def upgrade() -> None:
    empty = sa.text("'{}'::jsonb")
    op.add_column(
        "companies",
        sa.Column("whop_habits", JSONB, nullable=False, server_default=empty, comment=HABITS),
    )
    op.add_column("companies", sa.Column("habits_observed_at", TIME))
    op.add_column("payments", sa.Column("country", sa.Text, comment="of the billing address"))
    op.add_column("payments", sa.Column("assigned_share", sa.Integer, comment=SHARE))
    # A constant default writes no row: those of before are begun, new ones are not.
    begun = "its first decision is written down"
    op.add_column(
        "payments",
        sa.Column(
            "diary_begun", sa.Boolean, nullable=False, server_default=sa.true(), comment=begun
        ),
    )
    op.alter_column("payments", "diary_begun", server_default=sa.false())
    op.create_index("ix_payments_created", "payments", ["created_at"], postgresql_using="brin")
    op.add_column("attempts", sa.Column("planned_at", TIME, comment=PLANNED))
    op.add_column("attempts", sa.Column("retryable_after", sa.Boolean, comment=RETRYABLE))
    create_decisions()


def create_decisions() -> None:
    why = "what moved the charge, or why there is none"
    possible = "the moments that it was chosen among, each with its probability"
    op.create_table(
        "retry_decisions",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("payment_id", sa.Text, nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("facts", JSONB, nullable=False, comment="all that was known"),
        sa.Column("retry_at", TIME, comment="null: no charge"),
        sa.Column("charge_method", sa.Text),
        sa.Column("why", sa.Text, nullable=False, comment=why),
        sa.Column("possible", JSONB, nullable=False, comment=possible),
        sa.CheckConstraint("charge_method in ('retry', 'backup_card')", name="charge_method"),
    )
    op.create_index("ix_retry_decisions_payment", "retry_decisions", ["payment_id", "id"])
    op.execute(KEEP)
    op.execute(GUARD)


def downgrade() -> None:
    op.drop_table("retry_decisions")
    op.execute("drop function keep_retry_decisions()")
    for column in ("planned_at", "retryable_after"):
        op.drop_column("attempts", column)
    op.drop_index("ix_payments_created", "payments")
    for column in ("country", "assigned_share", "diary_begun"):
        op.drop_column("payments", column)
    for column in ("whop_habits", "habits_observed_at"):
        op.drop_column("companies", column)
