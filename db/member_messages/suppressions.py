"""Addresses that a company writes to no more, and what ends with that."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.member_messages.queue import cancel_all_messages
from db.models import Payment, Suppression
from recovery.status import DeliveryFailure

WORST_FIRST = (
    DeliveryFailure.SPAM_REPORT,
    DeliveryFailure.UNSUBSCRIBED,
    DeliveryFailure.BOUNCED,
    DeliveryFailure.DROPPED,
)
# The member's own words: they end every message. A dead address ends only mails.
DETAILS = {
    DeliveryFailure.SPAM_REPORT: "the member called a message spam",
    DeliveryFailure.UNSUBSCRIBED: "the member asked for no more",
}


def suppress(
    session: Session, company_id: str, address: str, reason: DeliveryFailure, now: datetime
) -> None:
    """No more mails of this company to the address. Said again, the worst reason stays."""
    address = address.lower()
    added = session.scalar(
        insert(Suppression)
        .values(company_id=company_id, address=address, reason=reason, since=now)
        .on_conflict_do_nothing()
        .returning(Suppression.address)
    )
    if added is None:
        known = session.get_one(Suppression, (company_id, address), with_for_update=True)
        known.reason = choose_worst(known.reason, reason)
    if reason in DETAILS:
        same = (Payment.company_id == company_id) & (func.lower(Payment.member_email) == address)
        cancel_all_messages(session, same, DETAILS[reason])


def choose_worst(known: DeliveryFailure | None, new: DeliveryFailure) -> DeliveryFailure:
    return new if known is None else min(known, new, key=WORST_FIRST.index)
