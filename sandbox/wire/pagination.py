"""Pages of a listing. Each starts after the last row of the page before."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.model.times import parse, sortable
from sandbox.state.store import Store
from sandbox.wire.exchange import bad_request

USUAL_PAGE = 20


@dataclass(frozen=True)
class Page:
    table: str
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Conditions, each with its values.
    bounds: Sequence[tuple[str, ...]] = ()
    order: str = "created_at"
    descending: bool = True
    after: tuple[str, str] | None = None
    before: tuple[str, str] | None = None
    from_the_end: bool = False
    size: int = 100


def read_page(
    table: str,
    where: Mapping[str, Sequence[str]],
    query: Mapping[str, str],
    largest: int,
    bounds: Sequence[tuple[str, ...]] = (),
) -> Page:
    """The page that a query asks for. A too large page size is cut: what Whop does is UNKNOWN."""
    orders = ("created_at", "paid_at") if table == "payments" else ("created_at",)
    size = "last" if "last" in query else "first"
    return Page(
        table=table,
        where=where,
        bounds=[*bounds, *read_created(query)],
        order=read_choice(query, "order", orders),
        descending=read_choice(query, "direction", ("desc", "asc")) == "desc",
        after=read_cursor(query, "after"),
        before=read_cursor(query, "before"),
        from_the_end=size == "last",
        size=min(read_size(query, size), largest),
    )


def find(store: Store, page: Page) -> list[tuple[str, str, str]]:
    """(sort value, id, document) of a page's rows, and of one more if another page follows.

    With `from_the_end` the rows are in reverse order, the one next to `before` first.
    """
    clauses = ["true"]
    values: list[str] = []
    for column, allowed in page.where.items():
        clauses.append(f"{column} in ({', '.join('?' * len(allowed))})")
        values += allowed
    for clause, *given in page.bounds:
        clauses.append(clause)
        values += given
    for cursor, later in ((page.after, True), (page.before, False)):
        if cursor:
            sign = "<" if page.descending == later else ">"
            clauses.append(f"({page.order}, id) {sign} (?, ?)")
            values += cursor
    way = "desc" if page.descending != page.from_the_end else "asc"
    return store.rows(
        f"select {page.order}, id, document from {page.table} where {' and '.join(clauses)}"
        f" order by {page.order} {way}, id {way} limit {page.size + 1}",
        *values,
    )


def list_rows(store: Store, page: Page, describe: Callable[[str], Any]) -> dict[str, Any]:
    """The answer to a listing. `describe` turns a stored document into its shape in the API."""
    rows = find(store, page)
    shown, more = rows[: page.size], len(rows) > page.size
    if page.from_the_end:
        shown.reverse()
    return {
        "data": [describe(document) for _, _, document in shown],
        "page_info": {
            "start_cursor": write_cursor(shown[0]) if shown else None,
            "end_cursor": write_cursor(shown[-1]) if shown else None,
            "has_next_page": page.before is not None if page.from_the_end else more,
            "has_previous_page": more if page.from_the_end else page.after is not None,
        },
    }


def write_cursor(row: tuple[str, str, str]) -> str:
    return base64.urlsafe_b64encode(f"{row[0]} {row[1]}".encode()).decode()


def read_cursor(query: Mapping[str, str], name: str) -> tuple[str, str] | None:
    if not query.get(name):
        return None
    try:
        value, _, row_id = base64.urlsafe_b64decode(query[name]).decode().rpartition(" ")
    except (binascii.Error, ValueError):
        raise bad_request("parameter_invalid", "Not a cursor of this listing", name) from None
    return value, row_id


def read_created(query: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, clause in (("created_after", "created_at > ?"), ("created_before", "created_at < ?")):
        if name in query:
            try:
                yield clause, sortable(parse(query[name]))
            except ValueError:
                message = "Must be an ISO 8601 timestamp"
                raise bad_request("parameter_invalid", message, name) from None


def read_choice(query: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """The first allowed value is the default."""
    value = query.get(name, allowed[0])
    if value not in allowed:
        raise bad_request("parameter_invalid", f"Must be one of {', '.join(allowed)}", name)
    return value


def read_size(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, str(USUAL_PAGE))
    if not text.isdecimal() or int(text) < 1:
        raise bad_request("parameter_invalid", "Must be a positive number", name)
    return int(text)
