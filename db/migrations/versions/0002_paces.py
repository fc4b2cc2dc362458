"""Paces: the turns to call Whop, shared by all daemons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "paces",
        sa.Column(
            "credential",
            sa.Text(),
            nullable=False,
            comment="the beginning of the key's hash, never the key",
        ),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("credential", "operation", name="pk_paces"),
    )


def downgrade() -> None:
    op.drop_table("paces")
