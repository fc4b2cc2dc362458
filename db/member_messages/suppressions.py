"""Addresses that get no more emails of a company."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.member_messages.cancellation import cancel_all_messages
from db.models import Payment, Suppression
from recovery.delivery import DeliveryFailure

WORST_FIRST = (
    DeliveryFailure.SPAM_REPORT,
    DeliveryFailure.UNSUBSCRIBED,
    DeliveryFailure.BOUNCED,
    DeliveryFailure.DROPPED,
)
# The member's own wish ends messages on every channel; a dead address ends only emails.
DETAILS = {
    DeliveryFailure.SPAM_REPORT: "the member reported a message as spam",
    DeliveryFailure.UNSUBSCRIBED: "the member unsubscribed",
}


def suppress(
    session: Session, company_id: str, address: str, reason: DeliveryFailure, now: datetime
) -> None:
    """No more emails of this company to the address. If it is suppressed already, the worse reason
    is kept."""
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
