"""Payments keep no link to the member's billing page: it is asked for when a message is sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("payments", "manage_url")


def downgrade() -> None:
    op.add_column("payments", sa.Column("manage_url", sa.Text()))
