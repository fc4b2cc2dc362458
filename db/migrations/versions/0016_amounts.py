"""What a payment costs by Whop's newest words, what failed beside what was paid, and what is left
once refunds and disputes are subtracted: `payments.kept_usd`, which every sum of money reads. And
whether Whop has ever told when it tries next, without which nothing after a message is claimed.

Amounts of before were told at the failure and never again, so any report from now on is newer.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

KEPT = "what is left once it is paid, in dollars; null: unpaid, or not known"
PRICES = "Whop's words of the amounts, with their times; null: the first report's"
# Column, type and comment.
ADDED = (
    ("failed_amount", sa.Numeric(), "what was owed"),
    ("failed_currency", sa.Text(), None),
    ("failed_amount_usd", sa.Numeric(), None),
    ("kept_usd", sa.Numeric(), KEPT),
    ("prices", JSONB(), PRICES),
)
DISPUTED = "what a dispute takes, open or lost"
PLAN_TOLD = "Whop has announced an attempt once"
PAID = "paid; what is owed until then"
FILL = """
update payments set
    failed_amount = amount, failed_currency = currency, failed_amount_usd = amount_usd,
    whop_plan_told = whop_next_attempt_at is not null,
    disputed_amount = coalesce((
        select payments.amount from disputes
        where (disputes.company_id, disputes.payment_id)
                = (payments.company_id, payments.payment_id)
            and status not in ('won', 'closed') and status not like 'warning\\_%'
    ), 0),
    prices = jsonb_build_object(
        'owed', jsonb_build_array(failed_at, amount::text, currency, amount_usd::text),
        'paid', null,
        'valued', case when amount_usd is not null
            then jsonb_build_array(failed_at, amount::text, currency, amount_usd::text) end,
        'given_back', case when refunded_amount > 0
            then jsonb_build_array(failed_at, refunded_amount::text) end
    )
"""
KEEP = """
update payments set kept_usd = case when amount = 0 then 0
    else amount_usd * greatest(amount - refunded_amount - disputed_amount, 0) / amount end
where status = 'recovered'
"""
# The days whose sums are no longer, or not yet, without what disputes take.
SUM_AGAIN = """
insert into late_changes (company_id, happened_at)
select distinct company_id, recovered_at from payments
where status = 'recovered' and disputed_amount > 0
"""
SUMMED = """
company_id failed_at failed_amount_usd kept_usd status recovered_at recovered_by
"""
SUMMED_BEFORE = """
company_id failed_at amount amount_usd refunded_amount recovered_at recovered_by
"""
# What was failed, as it is summed up: its dollars, and whether they and what is left are known.
FAILURE = """{row}.company_id, {row}.failed_at, {row}.failed_amount_usd,
    {row}.status = 'recovered' and {row}.kept_usd is null"""
FAILURE_BEFORE = "{row}.company_id, {row}.failed_at, {row}.amount_usd"
# Columns of each index, and of which rows.
INDEXES = {
    "ix_payments_newest": "(company_id, failed_at desc, id desc) include ({})",
    "ix_payments_company_recovered": (
        "(company_id, recovered_at) include ({}) where status = 'recovered'"
    ),
    "ix_payments_drawn": (
        "(company_id, member_id, failed_at, id) include ({})"
        " where held_out is not null and member_id is not null and not imported"
    ),
    "ix_payments_imported": "(company_id) include ({}) where imported",
}
# What each holds besides, with and without the sums of this revision.
SHOWN = "decline_class, product, recovered_by, recovered_at, window_ends_at, imported"
ENDED = "window_ends_at, created_at, status, recovered_by"
INCLUDED = (
    f"status, amount_usd, failed_amount_usd, kept_usd, {SHOWN}",
    "kept_usd, recovered_by",
    "held_out, window_ends_at, status, failed_amount_usd, kept_usd",
    f"{ENDED}, failed_amount_usd, kept_usd",
)
INCLUDED_BEFORE = (
    f"status, amount_usd, amount, refunded_amount, {SHOWN}",
    "amount_usd, amount, refunded_amount, recovered_by",
    "held_out, window_ends_at, status, amount_usd, amount, refunded_amount",
    f"{ENDED}, amount_usd, amount, refunded_amount",
)


def upgrade() -> None:
    op.alter_column("payments", "amount", existing_type=sa.Numeric(), comment=PAID)
    for name, kind, comment in ADDED:
        op.add_column("payments", sa.Column(name, kind, comment=comment))
    op.add_column(
        "payments",
        sa.Column(
            "disputed_amount", sa.Numeric(), server_default="0", nullable=False, comment=DISPUTED
        ),
    )
    op.add_column(
        "payments",
        sa.Column(
            "whop_plan_told",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment=PLAN_TOLD,
        ),
    )
    op.add_column("refunds", sa.Column("currency", sa.Text(), comment="null: the payment's"))
    op.add_column(
        "disputes",
        sa.Column("amount", sa.Numeric(), comment="the largest it was said to be about; null: all"),
    )
    op.add_column("disputes", sa.Column("currency", sa.Text()))
    drop_triggers()
    op.execute(FILL)
    op.execute(KEEP)
    op.alter_column("payments", "failed_amount", existing_type=sa.Numeric(), nullable=False)
    op.alter_column("payments", "failed_currency", existing_type=sa.Text(), nullable=False)
    create_triggers(FAILURE, SUMMED)
    create_indexes(INCLUDED)
    op.execute(SUM_AGAIN)


def downgrade() -> None:
    drop_triggers()
    create_triggers(FAILURE_BEFORE, SUMMED_BEFORE)
    create_indexes(INCLUDED_BEFORE)
    op.execute(SUM_AGAIN)
    for name in ("amount", "currency"):
        op.drop_column("disputes", name)
    op.drop_column("refunds", "currency")
    for name in ("whop_plan_told", "disputed_amount"):
        op.drop_column("payments", name)
    for name, _, _ in reversed(ADDED):
        op.drop_column("payments", name)
    op.alter_column(
        "payments", "amount", existing_type=sa.Numeric(), comment=None, existing_comment=PAID
    )


def drop_triggers() -> None:
    for name in ("record_late_change", "record_removal"):
        op.execute(f"drop trigger {name} on payments")
    op.execute("drop function record_late_change")


def create_triggers(failure: str, summed: str) -> None:
    """As migration 0005 made them, about other columns."""
    before, after = (failure.format(row=row) for row in ("old", "new"))
    op.execute(f"""
        create function record_late_change() returns trigger language plpgsql as $$
        declare
            failure_changed boolean := ({before}) is distinct from ({after});
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
    before, after = (
        ", ".join(f"{row}.{name}" for name in summed.split()) for row in ("old", "new")
    )
    op.execute(f"""
        create trigger record_late_change after update on payments for each row
        when (({before}) is distinct from ({after})) execute function record_late_change()
    """)
    op.execute("""
        create trigger record_removal after delete on payments
        for each row execute function record_late_change()
    """)


def create_indexes(included: tuple[str, ...]) -> None:
    for (name, of), columns in zip(INDEXES.items(), included, strict=True):
        op.execute(f"drop index {name}")
        op.execute(f"create index {name} on payments {of.format(columns)}")
