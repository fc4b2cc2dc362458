"""The titles of products: Whop's payments carry ids alone, so titles are asked for and kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Payment, Product

# Whop may not know a product any more, or may not let our key see it.
ASK_AGAIN = timedelta(days=1)
MOST_AT_ONCE = 200


def list_untitled(session: Session, company_id: str, now: datetime) -> list[str]:
    """The products of payments without a title, unless Whop told none a short while ago."""
    asked = Product.title.is_(None) & (Product.read_at > now - ASK_AGAIN)
    query = (
        select(Payment.product_id)
        .outerjoin(
            Product,
            (Product.company_id == Payment.company_id) & (Product.product_id == Payment.product_id),
        )
        .where(
            Payment.company_id == company_id,
            Payment.product.is_(None),
            Payment.product_id.is_not(None),
            or_(Product.product_id.is_(None), ~asked),
        )
        .distinct()
        .limit(MOST_AT_ONCE)
    )
    return [product_id for product_id in session.scalars(query) if product_id is not None]


def find_memberships(session: Session, company_id: str, product_ids: list[str]) -> dict[str, str]:
    """By product: a membership by which Whop can tell its title, where one is known."""
    query = (
        select(Payment.product_id, func.max(Payment.membership_id).label("membership_id"))
        .where(
            Payment.company_id == company_id,
            Payment.product.is_(None),
            Payment.product_id.in_(product_ids),
            Payment.membership_id.is_not(None),
        )
        .group_by(Payment.product_id)
    )
    return {row.product_id: row.membership_id for row in session.execute(query)}


def record_titles(
    session: Session, company_id: str, titles: Mapping[str, str | None], now: datetime
) -> None:
    """Keeps them, and gives them to the payments that have none. None: Whop told none."""
    if not titles:
        return
    rows = [
        {"company_id": company_id, "product_id": product_id, "title": title, "read_at": now}
        for product_id, title in titles.items()
    ]
    insertion = insert(Product).values(rows)
    told = insertion.excluded
    session.execute(
        insertion.on_conflict_do_update(
            index_elements=[Product.company_id, Product.product_id],
            set_={"title": func.coalesce(told.title, Product.title), "read_at": told.read_at},
        )
    )
    for product_id, title in titles.items():
        if title is not None:
            session.execute(
                update(Payment)
                .where(
                    Payment.company_id == company_id,
                    Payment.product_id == product_id,
                    Payment.product.is_(None),
                )
                .values(product=title)
            )
