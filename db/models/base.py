"""What all tables share: names of constraints, column types, JSON as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Index,
    Label,
    MetaData,
    Text,
    TypeDecorator,
    literal_column,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
Time = DateTime(timezone=True)


class Word(TypeDecorator[Any]):
    """A StrEnum stored as text. A CHECK beside the column guards the values (`one_of`)."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self.kind(value)


def one_of(column: str, kind: Iterable[StrEnum]) -> CheckConstraint:
    words = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} in ({words})", name=column)


def index_prefix(name: str, column: str) -> Index:
    """An index for `like 'abc%'` that works in any locale."""
    lowered: Label[str] = literal_column(f"lower({column})").label("lowered")
    return Index(name, "company_id", lowered, postgresql_ops={"lowered": "text_pattern_ops"})


def same_as(column: str) -> Callable[[Any], Any]:
    """A default: what another column of the new row has."""
    return lambda context: context.get_current_parameters().get(column)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
