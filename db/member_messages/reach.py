"""Whether a member can be written to: one rule, in Python and in SQL.

`payments.member_email` holds only what an email can be sent to (db/ledger writes it so); rows from
before that are checked again before anything is sent.
"""

from __future__ import annotations

from sqlalchemy import and_, func

from db.company_settings.addresses import find_address
from db.models import Payment

OUT_OF_REACH = and_(func.coalesce(Payment.member_email, "") == "", Payment.user_id.is_(None))


def is_reachable(member_email: str | None, user_id: str | None) -> bool:
    """By email, or in Whop's chat, which goes by the user's id."""
    return user_id is not None or find_address(member_email) is not None
