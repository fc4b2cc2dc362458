"""Messages in sequences, what came of each, and what creators are told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
STEPS = "('payment_failed', 'reminder', 'last_day', 'notice')"
TROUBLES = "('bounced', 'dropped', 'spam_report', 'unsubscribed')"
OLD_STATES = "'queued', 'sending', 'sent', 'failed', 'unknown', 'skipped'"
STATES = f"({OLD_STATES}, 'joined')"
TOLD_LATER = ("delivered_at", "opened_at", "clicked_at", "trouble_at")


def upgrade() -> None:
    extend_payments()
    extend_messages()
    create_mail_events()
    create_suppressions()
    create_templates()
    create_notices()
    create_deeds()


def extend_payments() -> None:
    op.add_column(
        "payments",
        sa.Column("next_step", sa.Text(), comment="the message to the member that is planned"),
    )
    op.add_column("payments", sa.Column("next_message_at", TIME))
    op.create_check_constraint(op.f("ck_payments_next_step"), "payments", f"next_step in {STEPS}")
    op.create_check_constraint(
        op.f("ck_payments_next_message_at"),
        "payments",
        "(next_step is null) = (next_message_at is null)",
    )
    op.create_index(
        "ix_payments_message_due",
        "payments",
        ["next_message_at"],
        postgresql_where=sa.text("next_message_at is not null"),
    )


def extend_messages() -> None:
    op.add_column(
        "messages",
        sa.Column("joined_to", sa.BigInteger(), comment="the message that spoke for this one too"),
    )
    op.add_column(
        "messages",
        sa.Column(
            "posted_at", TIME, comment="committed just before the send; null means nothing has left"
        ),
    )
    op.add_column("messages", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.execute("update messages set posted_at = sending_at, tries = 1 where sending_at is not null")
    for name in TOLD_LATER:
        op.add_column("messages", sa.Column(name, TIME))
    op.add_column("messages", sa.Column("trouble", sa.Text()))
    op.create_foreign_key("fk_messages_joined_to", "messages", "messages", ["joined_to"], ["id"])
    op.drop_constraint(op.f("ck_messages_state"), "messages")
    for name, check in (
        ("state", f"state in {STATES}"),
        ("step", f"step in {STEPS}"),
        ("channel", "channel in ('email', 'whop')"),
        ("trouble", f"trouble in {TROUBLES}"),
    ):
        op.create_check_constraint(op.f(f"ck_messages_{name}"), "messages", check)
    op.create_index(
        "ix_messages_in_hand",
        "messages",
        ["sending_at"],
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_index(
        "ix_messages_company_posted",
        "messages",
        ["company_id", "posted_at"],
        postgresql_where=sa.text("posted_at is not null"),
    )
    op.create_index(
        "ix_messages_company_sent",
        "messages",
        ["company_id", "sent_at"],
        postgresql_where=sa.text("sent_at is not null"),
    )
    op.create_index(
        "ix_messages_joined_to",
        "messages",
        ["joined_to"],
        postgresql_where=sa.text("joined_to is not null"),
    )


def create_mail_events() -> None:
    op.create_table(
        "mail_events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("happened_at", TIME, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_mail_events_message_id"),
        sa.PrimaryKeyConstraint("event_id", name="pk_mail_events"),
    )
    op.create_index("ix_mail_events_message_id", "mail_events", ["message_id"])


def create_suppressions() -> None:
    op.create_table(
        "suppressions",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.CheckConstraint(f"reason in {TROUBLES}", name=op.f("ck_suppressions_reason")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name="fk_suppressions_company_id"
        ),
        sa.PrimaryKeyConstraint("company_id", "address", name="pk_suppressions"),
    )


def create_templates() -> None:
    op.create_table(
        "templates",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body_text", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), nullable=False),
        sa.Column("saved_at", TIME, nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=False),
        sa.CheckConstraint(f"step in {STEPS}", name=op.f("ck_templates_step")),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_templates_company_id"),
        sa.PrimaryKeyConstraint("company_id", "step", name="pk_templates"),
    )


def create_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "occasion",
            sa.Text(),
            nullable=False,
            comment="a week, a payment, the start of a trouble",
        ),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("sending_at", TIME),
        sa.Column("sent_at", TIME),
        sa.Column("detail", sa.Text()),
        sa.CheckConstraint(f"state in {STATES}", name=op.f("ck_notices_state")),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_notices_company_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint(
            "company_id",
            "kind",
            "occasion",
            "channel",
            name="uq_notices_company_id_kind_occasion_channel",
        ),
    )
    op.create_index(
        "ix_notices_due", "notices", ["due_at"], postgresql_where=sa.text("state = 'queued'")
    )


def create_deeds() -> None:
    op.create_table(
        "deeds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("done_at", TIME, nullable=False),
        sa.Column("done_by", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text()),
        sa.Column(
            "details",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_deeds_company_id"),
        sa.PrimaryKeyConstraint("id", name="pk_deeds"),
    )
    op.create_index("ix_deeds_company", "deeds", ["company_id", sa.text("id desc")])


def downgrade() -> None:
    for table in ("deeds", "notices", "templates", "suppressions", "mail_events"):
        op.drop_table(table)
    op.execute("delete from messages where state = 'joined'")
    op.drop_index("ix_messages_joined_to", table_name="messages")
    op.drop_index("ix_messages_company_sent", table_name="messages")
    op.drop_index("ix_messages_company_posted", table_name="messages")
    op.drop_index("ix_messages_in_hand", table_name="messages")
    for name in ("trouble", "channel", "step", "state"):
        op.drop_constraint(op.f(f"ck_messages_{name}"), "messages")
    op.create_check_constraint(op.f("ck_messages_state"), "messages", f"state in ({OLD_STATES})")
    op.drop_constraint("fk_messages_joined_to", "messages", type_="foreignkey")
    for name in ("trouble", *TOLD_LATER, "tries", "posted_at", "joined_to"):
        op.drop_column("messages", name)
    op.drop_index("ix_payments_message_due", table_name="payments")
    op.drop_constraint(op.f("ck_payments_next_message_at"), "payments")
    op.drop_constraint(op.f("ck_payments_next_step"), "payments")
    op.drop_column("payments", "next_message_at")
    op.drop_column("payments", "next_step")
