"""Looks up a company's name. Whop's payments do not carry it, but memberships do."""

from __future__ import annotations

import logging
from collections.abc import Callable

from db.company_settings.recovery import save_whop_name
from db.ledger import sync
from db.session import SessionFactory
from whop.client import WhopClient
from whop.errors import WhopError

log = logging.getLogger(__name__)


def fetch_name(
    sessions: SessionFactory, whop: WhopClient, company_id: str, stopping: Callable[[], bool]
) -> None:
    """Does nothing once the name is known."""
    with sessions() as session:
        membership_id = sync.find_unnamed(session, company_id)
    if membership_id is None or stopping():
        return
    try:
        seller = whop.get_membership(membership_id, company_id).seller
    except WhopError as error:
        # A missing name is harmless: it does not count as a failed sync.
        log.warning("company %s: could not read its name: %s", company_id, error)
        return
    if seller is not None:
        with sessions.begin() as session:
            save_whop_name(session, company_id, seller)
