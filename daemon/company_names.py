"""What a company is called. Payments name no seller, but memberships do."""

from __future__ import annotations

import logging
from collections.abc import Callable

from db.company_settings.recovery import save_whop_name
from db.ledger import sync
from db.session import SessionFactory
from whop.client import WhopClient
from whop.errors import WhopError

log = logging.getLogger(__name__)


def ask_for_name(
    sessions: SessionFactory, whop: WhopClient, company_id: str, stopping: Callable[[], bool]
) -> None:
    """Until it is known."""
    with sessions() as session:
        membership_id = sync.find_unnamed(session, company_id)
    if membership_id is None or stopping():
        return
    try:
        seller = whop.get_membership(membership_id).seller
    except WhopError as error:
        # Not worth the trouble that a failed reading back is.
        log.warning("company %s: its name could not be read: %s", company_id, error)
        return
    if seller is not None:
        with sessions.begin() as session:
            save_whop_name(session, company_id, seller)
