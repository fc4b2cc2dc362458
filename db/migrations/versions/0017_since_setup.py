"""Which payments count: those since the set-up, those of before it, and those in no figure. The
daily sums tell them apart, and hold what the rate over closed windows is made of.

Clicks that led to a payment are told apart from messages that only came before it, and it is kept
when money was given back, and how each month stood when it ended.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SINCE_SETUP = """
case
    when window_ends_at <= failed_at or decline_class = 'test' or first_decline_class = 'test'
        then null
    else not (imported and least(window_ends_at, recovered_at) <= created_at)
end
"""
COMMENT = "false: it was over before the set-up; null: in no figure, since it is no real payment"
GIVEN_BACK_AT = (
    ("refunds", "refunded_at", "when it was made, or first heard of"),
    ("disputes", "opened_at", "when it was opened, or first heard of"),
)
COUNTS = (
    "failures",
    "unconverted",
    "closed",
    "closed_recovered",
    "by_retry",
    "by_click",
    "by_member",
    "without_us",
    "before_failures",
    "before_recovered",
)
SUMS = (
    "failed_usd",
    "closed_failed_usd",
    "closed_kept_usd",
    "closed_ours_usd",
    "retry_usd",
    "click_usd",
    "member_usd",
    "without_us_usd",
    "paid_usd",
    "before_usd",
)
GROSS = {"paid_usd": "before anything was given back"}
# Of dollars, for telling a difference from chance.
PRODUCTS = ("closed_failed_squares", "closed_products", "closed_kept_squares", "paid_squares")
COUNTS_BEFORE = ("failures", "unconverted", "by_retry", "by_member", "without_us")
SUMS_BEFORE = ("failed_usd", "retry_usd", "member_usd", "without_us_usd")
SUMMED = """
company_id failed_at failed_amount_usd kept_usd status recovered_at recovered_by since_setup
"""
SUMMED_BEFORE = """
company_id failed_at failed_amount_usd kept_usd status recovered_at recovered_by
"""
# What is summed up on the day of the failure.
FAILURE = """{row}.company_id, {row}.failed_at, {row}.failed_amount_usd, {row}.kept_usd,
    {row}.recovered_by, {row}.since_setup, {row}.status = 'recovered',
    {row}.status = 'permanent_fail'"""
FAILURE_BEFORE = """{row}.company_id, {row}.failed_at, {row}.failed_amount_usd,
    {row}.status = 'recovered' and {row}.kept_usd is null"""
# Columns of each index, and of which rows.
INDEXES = {
    "ix_payments_newest": "(company_id, failed_at desc, id desc) include ({})",
    "ix_payments_largest": "(company_id, coalesce(amount_usd, 0) desc, id desc) include ({})",
    "ix_payments_company_recovered": (
        "(company_id, recovered_at) include ({}) where status = 'recovered'"
    ),
    "ix_payments_open_window": (
        "(company_id, window_ends_at) include ({}) where status in ('failed', 'pending_retry')"
    ),
    "ix_payments_drawn": (
        "(company_id, member_id, failed_at, id) include ({})"
        " where held_out is not null and member_id is not null and not imported"
    ),
    "ix_payments_imported": "(company_id) include ({}) where imported",
}
FILTERS = "decline_class, product, recovered_by"
CLOSING = "recovered_at, window_ends_at, imported"
ENDED = "window_ends_at, created_at, status, recovered_by"
MONEY = "failed_amount_usd, kept_usd"
INCLUDED = (
    f"status, amount_usd, {MONEY}, {FILTERS}, since_setup, {CLOSING}, first_decline_class",
    f"status, amount_usd, failed_at, {FILTERS}, since_setup",
    "amount_usd, kept_usd, recovered_by, since_setup",
    "amount_usd, since_setup",
    f"held_out, window_ends_at, status, recovered_by, {MONEY}, since_setup",
    f"{ENDED}, {MONEY}, since_setup",
)
INCLUDED_BEFORE = (
    f"status, amount_usd, {MONEY}, {FILTERS}, {CLOSING}",
    f"status, amount_usd, failed_at, {FILTERS}",
    "kept_usd, recovered_by",
    "amount_usd",
    f"held_out, window_ends_at, status, {MONEY}",
    f"{ENDED}, {MONEY}",
)


def upgrade() -> None:
    drop_triggers()
    op.add_column(
        "payments",
        sa.Column(
            "since_setup", sa.Boolean(), sa.Computed(SINCE_SETUP, persisted=True), comment=COMMENT
        ),
    )
    create_triggers(FAILURE, SUMMED)
    create_indexes(INCLUDED)
    create_daily_figures(COUNTS, SUMS, PRODUCTS)
    for table, name, comment in GIVEN_BACK_AT:
        time = sa.DateTime(timezone=True)
        op.add_column(table, sa.Column(name, time, comment=comment))
        op.execute(f"update {table} set {name} = observed_at")
        op.alter_column(table, name, existing_type=time, existing_comment=comment, nullable=False)
        op.create_index(f"ix_{table}_company_{name[:-3]}", table, ["company_id", name])
    create_month_ends()


def downgrade() -> None:
    op.drop_table("month_ends")
    for table, name, _ in GIVEN_BACK_AT:
        op.drop_index(f"ix_{table}_company_{name[:-3]}", table)
        op.drop_column(table, name)
    op.execute("update payments set recovered_by = 'member' where recovered_by = 'click'")
    drop_triggers()
    create_triggers(FAILURE_BEFORE, SUMMED_BEFORE)
    create_indexes(INCLUDED_BEFORE)
    op.drop_column("payments", "since_setup")
    create_daily_figures(COUNTS_BEFORE, SUMS_BEFORE)


def create_daily_figures(
    counts: tuple[str, ...], sums: tuple[str, ...], products: tuple[str, ...] = ()
) -> None:
    """Empty: what is not kept is read raw, until the daemon has summed it up again."""
    op.execute("delete from rollups")
    op.drop_table("daily_figures")
    op.create_table(
        "daily_figures",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in counts),
        *(sa.Column(name, sa.Numeric(), nullable=False, comment=GROSS.get(name)) for name in sums),
        *(sa.Column(name, sa.Float(), nullable=False) for name in products),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name="fk_daily_figures_company_id"
        ),
        sa.PrimaryKeyConstraint("company_id", "day", name="pk_daily_figures"),
    )


def create_month_ends() -> None:
    op.create_table(
        "month_ends",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False, comment="its first day"),
        sa.Column("recovered_usd", sa.Numeric(), nullable=False),
        sa.Column("ours_usd", sa.Numeric(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_month_ends_company_id"),
        sa.PrimaryKeyConstraint("company_id", "month", name="pk_month_ends"),
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
