"""Pages of a listing, each continued after the last row of the one before."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.exchange import bad_request
from sandbox.store import Store
from sandbox.times import parse, sortable

USUAL_PAGE = 20


@dataclass(frozen=True)
class Page:
    table: str
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None
    order: str = "created_at"
    descending: bool = True
    after: tuple[str, str] | None = None
    size: int = 100


def asked_page(
    table: str, where: Mapping[str, Sequence[str]], query: Mapping[str, str], largest: int
) -> Page:
    """The page a query string asks for. Too large a one is cut: what Whop does is UNKNOWN."""
    return Page(
        table=table,
        where=where,
        created_after=_time(query, "created_after"),
        created_before=_time(query, "created_before"),
        order=_choice(query, "order", ("created_at", "paid_at")),
        descending=_choice(query, "direction", ("desc", "asc")) == "desc",
        after=_cursor(query.get("after")),
        size=min(_size(query), largest),
    )


def find(store: Store, page: Page) -> list[tuple[str, str, str]]:
    """(sort value, id, document) of a page's rows, and one more if another page follows."""
    clauses = ["true"]
    values: list[str] = []
    for column, allowed in page.where.items():
        clauses.append(f"{column} in ({', '.join('?' * len(allowed))})")
        values += allowed
    for sign, bound in ((">", page.created_after), ("<", page.created_before)):
        if bound:
            clauses.append(f"created_at {sign} ?")
            values.append(sortable(bound))
    if page.after:
        clauses.append(f"({page.order}, id) {'<' if page.descending else '>'} (?, ?)")
        values += page.after
    way = "desc" if page.descending else "asc"
    return store.rows(
        f"select {page.order}, id, document from {page.table} where {' and '.join(clauses)}"
        f" order by {page.order} {way}, id {way} limit {page.size + 1}",
        *values,
    )


def listed(store: Store, page: Page, describe: Callable[[str], Any]) -> dict[str, Any]:
    """The answer to a listing; `describe` turns a stored document into what is shown."""
    rows = find(store, page)
    shown = rows[: page.size]
    return {
        "data": [describe(document) for _, _, document in shown],
        "page_info": {
            "start_cursor": _cursor_of(shown[0]) if shown else None,
            "end_cursor": _cursor_of(shown[-1]) if shown else None,
            "has_next_page": len(rows) > page.size,
            "has_previous_page": page.after is not None,
        },
    }


def _cursor_of(row: tuple[str, str, str]) -> str:
    return base64.urlsafe_b64encode(f"{row[0]} {row[1]}".encode()).decode()


def _cursor(text: str | None) -> tuple[str, str] | None:
    if not text:
        return None
    try:
        value, _, row_id = base64.urlsafe_b64decode(text).decode().rpartition(" ")
    except (binascii.Error, ValueError):
        raise bad_request("parameter_invalid", "Not a cursor of this listing", "after") from None
    return value, row_id


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        return parse(query[name])
    except ValueError:
        raise bad_request("parameter_invalid", "Must be an ISO 8601 timestamp", name) from None


def _choice(query: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """The first one when nothing is asked for."""
    value = query.get(name, allowed[0])
    if value not in allowed:
        raise bad_request("parameter_invalid", f"Must be one of {', '.join(allowed)}", name)
    return value


def _size(query: Mapping[str, str]) -> int:
    text = query.get("first", str(USUAL_PAGE))
    if not text.isdecimal() or int(text) < 1:
        raise bad_request("parameter_invalid", "Must be a positive number", "first")
    return int(text)
