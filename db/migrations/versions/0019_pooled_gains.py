"""What creators gain together, with nothing of whose it is; and the holdout's share in the index
that the lift is read from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

DRAWN = "held_out is not null and member_id is not null and not imported"
BEFORE = ["held_out", "window_ends_at", "status", "recovered_by"]
MONEY = ["failed_amount_usd", "kept_usd", "since_setup"]


def upgrade() -> None:
    between = "the variance of the companies' true gains"
    op.create_table(
        "pooled_gains",
        sa.Column("day", sa.Date, primary_key=True, comment="in UTC"),
        sa.Column("companies", sa.Integer, nullable=False),
        sa.Column("members", sa.Integer, nullable=False),
        sa.Column("gain", sa.Float, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.Column("between", sa.Float, nullable=False, comment=between),
    )
    replace_index(["held_out", "assigned_share", *BEFORE[1:], *MONEY])


def downgrade() -> None:
    replace_index([*BEFORE, *MONEY])
    op.drop_table("pooled_gains")


def replace_index(included: list[str]) -> None:
    op.drop_index("ix_payments_drawn", "payments")
    op.create_index(
        "ix_payments_drawn",
        "payments",
        ["company_id", "member_id", "failed_at", "id"],
        postgresql_include=included,
        postgresql_where=sa.text(DRAWN),
    )
