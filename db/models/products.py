"""The titles of a company's products."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time


class Product(Base):
    """Whop's payments carry a product's id alone. `title` None: Whop was asked and told none."""

    __tablename__ = "products"

    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"), primary_key=True)
    product_id: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str | None] = mapped_column(Text)
    read_at: Mapped[datetime] = mapped_column(Time)
