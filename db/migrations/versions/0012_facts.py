"""What ends or pauses a membership or a dispute is kept as a fact, with its own time.

Disputes of before have no status, and stay what they were: a stop. A newer word replaces it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
HELD = "why it is neither charged nor written about while it is unpaid"
HOLDS = "'paused', 'inquiry'"
RENEWALS = "'continues', 'canceled', 'ended'"
REPLACED = "when that was true; a newer word replaces it"
ASKED = "when we last asked Whop how it stands"


def upgrade() -> None:
    extend_payments()
    make_memberships()
    extend_disputes()


def extend_payments() -> None:
    """Beside the running work, as the table may be large; begun anew after an interruption."""
    with op.get_context().autocommit_block():
        op.execute("alter table payments add column if not exists product_id text")
        op.execute("alter table payments add column if not exists hold text")
        op.execute(f"comment on column payments.hold is '{HELD}'")
        op.execute("alter table payments drop constraint if exists ck_payments_hold")
        op.execute(
            f"alter table payments add constraint ck_payments_hold check (hold in ({HOLDS}))"
            " not valid"
        )
        op.execute("alter table payments validate constraint ck_payments_hold")


def make_memberships() -> None:
    bought = "when it was bought; null: a draft, or not told"
    op.create_table(
        "memberships",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("membership_id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("product_id", sa.Text()),
        sa.Column("started_at", TIME, comment=bought),
        sa.Column("renewal", sa.Text()),
        sa.Column("renewal_since", TIME),
        sa.Column("renewal_observed_at", TIME, comment=REPLACED),
        sa.Column("paused", sa.Boolean()),
        sa.Column("paused_since", TIME),
        sa.Column("paused_observed_at", TIME, comment=REPLACED),
        sa.Column("read_at", TIME, comment=ASKED),
        sa.CheckConstraint(f"renewal in ({RENEWALS})", name=op.f("ck_memberships_renewal")),
        sa.PrimaryKeyConstraint("membership_id", "company_id", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_member", "memberships", ["member_id", "company_id"])
    op.create_index("ix_memberships_user", "memberships", ["user_id", "company_id"])


def extend_disputes() -> None:
    words = "Whop's; an inquiry's begins with warning_"
    op.add_column(
        "disputes",
        sa.Column("status", sa.Text(), nullable=False, server_default="unknown", comment=words),
    )
    op.alter_column("disputes", "status", server_default=None)
    op.add_column("disputes", sa.Column("observed_at", TIME, comment="when the status was true"))
    op.execute("update disputes set observed_at = recorded_at")
    op.alter_column("disputes", "observed_at", nullable=False)
    op.add_column("disputes", sa.Column("read_at", TIME, comment=ASKED))
    for name in ("member", "user", "membership"):
        op.create_index(f"ix_disputes_{name}", "disputes", [f"{name}_id", "company_id"])


def downgrade() -> None:
    """What was bought anew becomes what older code knows: canceled on Whop."""
    op.execute("update payments set closed_reason = 'canceled' where closed_reason = 'bought_anew'")
    op.drop_column("payments", "hold")
    op.drop_column("payments", "product_id")
    for name in ("member", "user", "membership"):
        op.drop_index(f"ix_disputes_{name}", "disputes")
    # Older code takes every dispute for a stop.
    op.execute("delete from disputes where status in ('won', 'warning_closed')")
    for column in ("status", "observed_at", "read_at"):
        op.drop_column("disputes", column)
    op.drop_table("memberships")
