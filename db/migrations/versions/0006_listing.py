"""Indexes for the list of payments, the lift and the time before us."""

from __future__ import annotations

from collections.abc import Mapping

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MONEY = "amount_usd, amount, refunded_amount"
FILTERS = "decline_class, product, recovered_by"
OLD = {
    "ix_payments_company_failed": f"""
        (company_id, failed_at desc, id desc) include (status, {MONEY})""",
}
NEW = {
    "ix_payments_newest": f"""
        (company_id, failed_at desc, id desc)
        include (status, {MONEY}, {FILTERS}, recovered_at, window_ends_at, imported)""",
    "ix_payments_largest": f"""
        (company_id, coalesce(amount_usd, 0) desc, id desc)
        include (status, amount_usd, failed_at, {FILTERS})""",
    "ix_payments_decline": "(company_id, decline_class, product)",
    "ix_payments_name": "(company_id, lower(member_name) text_pattern_ops)",
    "ix_payments_email": "(company_id, lower(member_email) text_pattern_ops)",
    "ix_payments_drawn": f"""
        (company_id, member_id, failed_at, id) include (held_out, window_ends_at, status, {MONEY})
        where held_out is not null and member_id is not null and not imported""",
    "ix_payments_imported": f"""
        (company_id) include (window_ends_at, created_at, status, recovered_by, {MONEY})
        where imported""",
}


def upgrade() -> None:
    replace(OLD, NEW)


def downgrade() -> None:
    replace(NEW, OLD)


def replace(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Beside the running work: a lock on a large table would keep webhooks out for minutes. What an
    interrupted run left behind answers nothing, so it is made anew."""
    with op.get_context().autocommit_block():
        for name, definition in new.items():
            op.execute(f"drop index concurrently if exists {name}")
            op.execute(f"create index concurrently {name} on payments {definition}")
        for name in old:
            op.execute(f"drop index concurrently if exists {name}")
