"""The indexes of the payments, each with what it is for."""

from __future__ import annotations

from sqlalchemy import Index, text

from db.models.base import index_prefix

MONEY = ("failed_amount_usd", "kept_usd")
FILTERS = ("decline_class", "product", "recovered_by", "since_setup")
CLOSING = ("recovered_at", "window_ends_at", "imported", "first_decline_class")
INDEXES = (
    # For sorting, filtering and searching the list of payments. Each order's index includes the
    # filters, so that rare or missing matches are not searched for in the table. The first one
    # also includes what the insights sum up. An index takes no column of more than 2 kB.
    Index(
        "ix_payments_newest",
        "company_id",
        text("failed_at desc"),
        text("id desc"),
        postgresql_include=["status", "amount_usd", *MONEY, *FILTERS, *CLOSING],
    ),
    Index(
        "ix_payments_largest",
        "company_id",
        text("coalesce(amount_usd, 0) desc"),
        text("id desc"),
        postgresql_include=["status", "amount_usd", "failed_at", *FILTERS],
    ),
    Index("ix_payments_decline", "company_id", "decline_class", "product"),
    # For giving titles to the payments of a product once Whop has told its title.
    Index(
        "ix_payments_untitled",
        "company_id",
        "product_id",
        postgresql_where=text("product is null and product_id is not null"),
    ),
    index_prefix("ix_payments_name", "member_name"),
    index_prefix("ix_payments_email", "member_email"),
    Index(
        "ix_payments_company_recovered",
        "company_id",
        "recovered_at",
        postgresql_include=["amount_usd", "kept_usd", "recovered_by", "since_setup"],
        postgresql_where=text("status = 'recovered'"),
    ),
    Index(
        "ix_payments_due",
        "next_retry_at",
        postgresql_where=text("status = 'pending_retry'"),
    ),
    Index(
        "ix_payments_open_window",
        "company_id",
        "window_ends_at",
        postgresql_include=["amount_usd", "since_setup"],
        postgresql_where=text("status in ('failed', 'pending_retry')"),
    ),
    Index(
        "ix_payments_open_membership",
        "membership_id",
        postgresql_where=text("status in ('failed', 'pending_retry')"),
    ),
    Index(
        "ix_payments_message_due",
        "next_message_at",
        postgresql_where=text("next_message_at is not null"),
    ),
    # For the first decisions, which the daemon writes down. One of this kind costs an insert
    # nothing.
    Index("ix_payments_created", "created_at", postgresql_using="brin"),
    # The card networks count attempts per card, for any payment.
    Index("ix_payments_card", "company_id", "card_last4", "card_brand", "failed_at"),
    # For the lift and the baseline: only a few payments are in these, or none.
    Index(
        "ix_payments_drawn",
        "company_id",
        "member_id",
        "failed_at",
        "id",
        postgresql_include=[
            "held_out",
            "assigned_share",
            "window_ends_at",
            "status",
            "recovered_by",
            *MONEY,
            "since_setup",
        ],
        postgresql_where=text("held_out is not null and member_id is not null and not imported"),
    ),
    Index(
        "ix_payments_imported",
        "company_id",
        postgresql_include=[
            "window_ends_at",
            "created_at",
            "status",
            "recovered_by",
            *MONEY,
            "since_setup",
        ],
        postgresql_where=text("imported"),
    ),
)
