"""Looks up the titles of products, which Whop's payments do not carry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from db.ledger import products
from db.session import SessionFactory
from whop.client import WhopClient
from whop.errors import NotFoundError, WhopError

log = logging.getLogger(__name__)

# Of the list, in one cycle.
MOST_PAGES = 20
# Products that are in no list (archived ones, or where our key may not list them) are asked for by
# a membership each; the rest follow in later cycles.
MOST_SINGLE_READS = 10


def fetch_titles(
    sessions: SessionFactory,
    whop: WhopClient,
    company_id: str,
    clock: Callable[[], datetime],
    stopping: Callable[[], bool],
) -> None:
    """Asks for nothing once every title is known. One call tells a page of them."""
    with sessions() as session:
        wanted = products.list_untitled(session, company_id, clock())
    if not wanted or stopping():
        return
    titles: dict[str, str | None] = {}
    try:
        for product_id, title in list_titles(whop, company_id, stopping):
            titles[product_id] = title
            if titles.keys() >= set(wanted):
                break
        left = [product_id for product_id in wanted if product_id not in titles]
        titles |= ask_memberships(sessions, whop, company_id, left, stopping)
    except WhopError as error:
        # A missing title is harmless: it does not count as a failed sync.
        log.warning("company %s: could not read its products: %s", company_id, error)
    with sessions.begin() as session:
        products.record_titles(session, company_id, titles, clock())


def list_titles(
    whop: WhopClient, company_id: str, stopping: Callable[[], bool]
) -> Iterator[tuple[str, str]]:
    cursor = None
    for _ in range(MOST_PAGES):
        if stopping():
            return
        page = whop.list_products(company_id, after=cursor)
        yield from ((product.product_id, product.title) for product in page.items)
        if (cursor := page.next_cursor) is None:
            return


def ask_memberships(
    sessions: SessionFactory,
    whop: WhopClient,
    company_id: str,
    product_ids: list[str],
    stopping: Callable[[], bool],
) -> dict[str, str | None]:
    """None: Whop was asked in vain, or there is no membership to ask by. Those that are not in the
    answer have not been asked about yet."""
    if not product_ids or stopping():
        return {}
    with sessions() as session:
        memberships = products.find_memberships(session, company_id, product_ids)
    titles: dict[str, str | None] = {one: None for one in product_ids if one not in memberships}
    for product_id, membership_id in list(memberships.items())[:MOST_SINGLE_READS]:
        if stopping():
            break
        titles[product_id] = None
        try:
            membership = whop.get_membership(membership_id, company_id)
        except NotFoundError:
            continue
        if membership.product_id == product_id:
            titles[product_id] = membership.product
    return titles
