"""What a message needs that an account or an address refused, and what finds it by SendGrid's id.

The index is built beside the running work, since the table may be large; it is begun anew after an
interruption.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHANNELS = "'email', 'whop'"
KINDS = (
    "'digest', 'recovery', 'key_refused', 'key_refused_over', 'webhook_silent', "
    "'webhook_silent_over', 'mails_bouncing', 'mails_bouncing_over'"
)
NEW_KINDS = "'mails_refused', 'mails_refused_over'"
REFUSED_BY = "the channel that does not reach the member; null: none was tried that does not"
COMPANY = "empty: of all companies, as SendGrid's account is"
TRY_AT = "when the next message tries whether it works again"


def upgrade() -> None:
    op.add_column("messages", sa.Column("refused_by", sa.Text(), comment=REFUSED_BY))
    op.execute(
        "alter table messages add constraint ck_messages_refused_by"
        f" check (refused_by in ({CHANNELS})) not valid"
    )
    op.create_table(
        "account_refusals",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False, comment=COMPANY),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("try_at", sa.DateTime(timezone=True), nullable=False, comment=TRY_AT),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint(f"channel in ({CHANNELS})", name=op.f("ck_account_refusals_channel")),
        sa.PrimaryKeyConstraint("channel", "company_id", name=op.f("pk_account_refusals")),
    )
    check_kinds(f"{KINDS}, {NEW_KINDS}")
    with op.get_context().autocommit_block():
        op.execute("alter table messages validate constraint ck_messages_refused_by")
        op.execute("drop index concurrently if exists ix_messages_provider")
        op.execute(
            "create index concurrently ix_messages_provider on messages (provider_id)"
            " where provider_id is not null"
        )


def check_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_notices_kind"), "notices")
    op.create_check_constraint(op.f("ck_notices_kind"), "notices", f"kind in ({kinds})")


def downgrade() -> None:
    op.drop_index("ix_messages_provider", "messages")
    op.execute(f"delete from notices where kind in ({NEW_KINDS})")
    check_kinds(KINDS)
    op.drop_table("account_refusals")
    op.drop_column("messages", "refused_by")
