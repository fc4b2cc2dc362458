"""Reads Whop's lists: pages of any object, saved cards, permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from whop.errors import NoAnswerError
from whop.values import (
    Json,
    PayloadError,
    expiry,
    flag,
    ident,
    part,
    require_ident,
    require_text,
    text,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Leaves out items that cannot be read. `next_cursor` None: this was the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class SavedCard:
    method_id: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


@dataclass(frozen=True, slots=True)
class ProductTitle:
    product_id: str
    title: str


def read_page(answer: Json, read: Callable[[Json], T | None], after: str | None = None) -> Page[T]:
    """`after` is the cursor of this page; what `read` makes nothing of is left out. Raises
    NoAnswerError where there is no list."""
    found = answer.get("data")
    if not isinstance(found, list):
        raise NoAnswerError("Whop's answer cannot be read: data: must be a list")
    items = []
    for item in found:
        try:
            if isinstance(item, Mapping) and (read_item := read(item)) is not None:
                items.append(read_item)
        except PayloadError:
            continue
    return Page(tuple(items), find_next(answer, after))


def find_next(answer: Json, after: str | None) -> str | None:
    info = part(answer, "page_info")
    cursor = text(info, "end_cursor") if flag(info, "has_next_page") else None
    # The same cursor again would loop for ever.
    return None if cursor == after else cursor


def read_product(item: Json) -> ProductTitle:
    return ProductTitle(require_ident(item, "id"), require_text(item, "title"))


def read_cards(answer: Json) -> Iterator[SavedCard]:
    """Other payment methods (bank accounts, wallets) have no `card` and are skipped."""
    for item in read_page(answer, lambda item: item).items:
        method_id, card = ident(item, "id"), part(item, "card")
        if method_id is not None and card:
            yield SavedCard(method_id, text(card, "brand"), text(card, "last4"), *expiry(card))


def read_granted(answer: Json) -> Iterator[str]:
    for item in read_page(answer, lambda item: item).items:
        action = text(item, "action")
        if action is not None and flag(item, "granted"):
            yield action
