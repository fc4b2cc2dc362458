"""What was charged, by its name, and which product was paid for: `payments.instrument_name`,
`payments.product_id`, and the titles of products, which Whop's payments do not carry.

The new columns may stay empty: what is not known yet is told as that.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TITLE = "the product's title"
# Of payments from before, the events still know the product.
PRODUCT = "coalesce(payload #>> '{data,product_id}', payload #>> '{data,product,id}')"
FILL = f"""
update payments set product_id = told.product_id
from (
    select distinct on (payment_id) payment_id, company_id, {PRODUCT} as product_id
    from webhook_events
    where type like 'payment.%' and {PRODUCT} ~ '^[A-Za-z0-9_][A-Za-z0-9_.:-]{{0,99}}$'
    order by payment_id, received_at desc
) as told
where told.payment_id = payments.payment_id and told.company_id = payments.company_id
"""


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("company_id", "product_id", name=op.f("pk_products")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["companies.id"], name=op.f("fk_products_company_id")
        ),
    )
    op.add_column(
        "payments",
        sa.Column(
            "instrument_name", sa.Text(), comment="what was charged: card, PayPal, bank account"
        ),
    )
    op.alter_column("payments", "product", existing_type=sa.Text(), comment=TITLE)
    op.execute(FILL)
    op.create_index(
        "ix_payments_untitled",
        "payments",
        ["company_id", "product_id"],
        postgresql_where=sa.text("product is null and product_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_payments_untitled", "payments")
    op.alter_column(
        "payments", "product", existing_type=sa.Text(), comment=None, existing_comment=TITLE
    )
    op.drop_column("payments", "instrument_name")
    op.drop_table("products")
