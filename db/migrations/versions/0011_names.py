"""Tables, columns and values get the field's own names (docs/glossary.md).

One transaction, so that no code ever meets half of the names. It rewrites only the rows that hold a
renamed value; a renamed column costs nothing.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = (("deeds", "audit_log"), ("paces", "rate_limits"))
COLUMNS = (
    ("audit_log", "done_by", "actor"),
    ("audit_log", "what", "action"),
    ("attempts", "means", "charge_method"),
    ("payments", "next_means", "next_charge_method"),
    ("payments", "as_of", "observed_at"),
    ("payments", "whop_said_at", "whop_announced_at"),
    ("refunds", "as_of", "observed_at"),
    ("disputes", "heard_at", "recorded_at"),
    ("messages", "posted_at", "dispatched_at"),
    ("messages", "trouble", "delivery_failure"),
    ("messages", "trouble_at", "delivery_failed_at"),
    ("notices", "occasion", "trigger_key"),
    ("requests", "asked_by", "requested_by"),
    ("requests", "asked_at", "requested_at"),
    ("syncs", "trouble", "error_detail"),
)
CONSTRAINTS = (
    ("audit_log", "pk_deeds", "pk_audit_log"),
    ("audit_log", "fk_deeds_company_id", "fk_audit_log_company_id"),
    ("audit_log", "ck_deeds_what", "ck_audit_log_action"),
    ("rate_limits", "pk_paces", "pk_rate_limits"),
    ("attempts", "ck_attempts_means", "ck_attempts_charge_method"),
    ("payments", "ck_payments_next_means", "ck_payments_next_charge_method"),
    ("messages", "ck_messages_trouble", "ck_messages_delivery_failure"),
    (
        "notices",
        "uq_notices_company_id_kind_occasion_channel",
        "uq_notices_company_id_kind_trigger_key_channel",
    ),
)
INDEXES = (
    ("ix_deeds_company", "ix_audit_log_company"),
    ("ix_messages_company_posted", "ix_messages_company_dispatched"),
)
SEQUENCES = (("deeds_id_seq", "audit_log_id_seq"),)
TRIGGERS = (("note_late_change", "record_late_change"), ("note_removal", "record_removal"))
# Table, column, and what was and is said of it.
COMMENTS = (
    (
        "notices",
        "trigger_key",
        "a week, a payment, the start of a trouble",
        "a week, a payment, or the start of a problem",
    ),
    (
        "messages",
        "joined_to",
        "the message that spoke for this one too",
        "the message that was sent for this one too",
    ),
)
# Table, column, the other values that it may have, and the one that changes its name.
VALUES = (
    ("attempts", "trigger", ("schedule", "whop", "member"), "operator", "creator"),
    ("payments", "next_trigger", ("schedule",), "operator", "creator"),
    ("requests", "kind", ("stop", "replay"), "hasten", "retry_now"),
)
# Keys of companies.settings, and the choice inside of one that a change in the audit log may name.
KEYS = (("manners", "messaging"), ("alerts", "notifications"))
CHOICE = ("on_trouble", "on_problem")


def upgrade() -> None:
    for before, after in TABLES:
        op.rename_table(before, after)
    for table, before, after in COLUMNS:
        op.alter_column(table, before, new_column_name=after)
    rename_the_rest(forward=True)
    for table, column, before, after in COMMENTS:
        op.alter_column(table, column, comment=after, existing_comment=before)
    for table, column, others, before, after in VALUES:
        rename_value(table, column, others, before, after)
    rename_choice(*CHOICE, inside="alerts")
    for before, after in KEYS:
        rename_key(before, after)


def downgrade() -> None:
    for before, after in KEYS:
        rename_key(after, before)
    rename_choice(*reversed(CHOICE), inside="alerts")
    for table, column, others, before, after in VALUES:
        rename_value(table, column, others, after, before)
    for table, column, before, after in COMMENTS:
        op.alter_column(table, column, comment=before, existing_comment=after)
    rename_the_rest(forward=False)
    for table, before, after in COLUMNS:
        op.alter_column(table, after, new_column_name=before)
    for before, after in TABLES:
        op.rename_table(after, before)


def rename_the_rest(*, forward: bool) -> None:
    """Tables have their new names while this runs, in both directions."""
    for table, *names in CONSTRAINTS:
        before, after = names if forward else reversed(names)
        op.execute(f"alter table {table} rename constraint {before} to {after}")
    for kind, pairs in (("index", INDEXES), ("sequence", SEQUENCES)):
        for before, after in pairs if forward else [pair[::-1] for pair in pairs]:
            op.execute(f"alter {kind} {before} rename to {after}")
    for before, after in TRIGGERS if forward else [pair[::-1] for pair in TRIGGERS]:
        op.execute(f"alter trigger {before} on payments rename to {after}")
    # The function bears the name of the trigger that it was written for.
    before, after = TRIGGERS[0] if forward else TRIGGERS[0][::-1]
    op.execute(f"alter function {before}() rename to {after}")


def rename_value(table: str, column: str, others: tuple[str, ...], before: str, after: str) -> None:
    name = op.f(f"ck_{table}_{column}")
    op.drop_constraint(name, table)
    op.execute(f"update {table} set {column} = '{after}' where {column} = '{before}'")
    known = ", ".join(f"'{value}'" for value in (*others, after))
    op.create_check_constraint(name, table, f"{column} in ({known})")


def rename_choice(before: str, after: str, *, inside: str) -> None:
    moved = f"#- '{{{inside},{before}}}'"
    op.execute(
        f"update companies set settings = jsonb_set(settings {moved}, '{{{inside},{after}}}',"
        f" settings #> '{{{inside},{before}}}')"
        f" where settings #> '{{{inside},{before}}}' is not null"
    )
    op.execute(
        f"update audit_log set details = details - '{before}'"
        f" || jsonb_build_object('{after}', details -> '{before}') where details ? '{before}'"
    )


def rename_key(before: str, after: str) -> None:
    op.execute(
        f"update companies set settings = settings - '{before}'"
        f" || jsonb_build_object('{after}', settings -> '{before}') where settings ? '{before}'"
    )
