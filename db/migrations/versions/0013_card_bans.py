"""Declines that stick to their card get a table, and a payment keeps what it failed for at first.

What is known of older payments is filled in: a ban for each that a card was forbidden for, and the
first decline of those still unpaid.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STICKS = "'card', 'fraud', 'consent', 'duplicate', 'amount', 'bank_debit', 'test'"
MEMBER = ("member_id", "user_id", "membership_id")
CARD = ("payment_method_id", "card_brand", "card_last4", "card_expiry")
# As recovery/payment_methods.name_attempt writes it.
ATTEMPT = (
    "coalesce(whop_failures::text, '-') || ' ' ||"
    " to_char(last_attempt_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
)
# The daemon has only those to look at whose member has a payment open.
APPLIED = (
    "case when (company_id, member_id) not in (select company_id, member_id from payments"
    " where status in ('failed', 'pending_retry') and member_id is not null) then now() end"
)
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("payments", sa.Column("payment_method_type", sa.Text))
    op.add_column("payments", sa.Column("first_decline_code", sa.Text))
    op.add_column(
        "payments",
        sa.Column(
            "first_decline_class",
            sa.Text,
            comment="what the renewal failed for, whatever was answered later",
        ),
    )
    op.execute(
        "update payments set first_decline_code = decline_code, first_decline_class = decline_class"
        " where status in ('failed', 'pending_retry')"
    )
    create_bans()
    columns = ", ".join(("company_id", "payment_id", *MEMBER, *CARD, "decline_class", "reason"))
    op.execute(
        "insert into card_bans"
        f" ({columns}, attempt, decline_code, observed_at, recorded_at, applied_at)"
        f" select {columns}, {ATTEMPT}, coalesce(decline_code, ''), observed_at, now(), {APPLIED}"
        f" from payments where decline_class in ({STICKS})"
    )


def create_bans() -> None:
    op.create_table(
        "card_bans",
        sa.Column("payment_id", sa.Text, nullable=False),
        sa.Column(
            "attempt", sa.Text, nullable=False, comment="which charge of the payment was declined"
        ),
        sa.Column("decline_class", sa.Text, nullable=False),
        sa.Column(
            "decline_code", sa.Text, nullable=False, comment="empty: the words alone said so"
        ),
        sa.Column("company_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in MEMBER),
        sa.Column("payment_method_id", sa.Text),
        sa.Column("card_brand", sa.Text),
        sa.Column("card_last4", sa.String(4)),
        sa.Column("card_expiry", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column(
            "observed_at", TIME, nullable=False, comment="when this charge was first told of"
        ),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("applied_at", TIME, comment="when the member's other payments heard of it"),
        sa.PrimaryKeyConstraint(
            "payment_id", "attempt", "decline_class", "decline_code", name="pk_card_bans"
        ),
    )
    for name, column in zip(("member", "user", "membership"), MEMBER, strict=True):
        op.create_index(f"ix_card_bans_{name}", "card_bans", [column])
    op.create_index(
        "ix_card_bans_new",
        "card_bans",
        ["recorded_at"],
        postgresql_where=sa.text("applied_at is null"),
    )


def downgrade() -> None:
    op.drop_table("card_bans")
    for column in ("first_decline_class", "first_decline_code", "payment_method_type"):
        op.drop_column("payments", column)
