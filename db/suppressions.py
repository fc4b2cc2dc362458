"""Addresses that a company writes to no more, and what ends with that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Message, Payment, Suppression
from db.status import MailTrouble, MessageState

WORST_FIRST = (
    MailTrouble.SPAM_REPORT,
    MailTrouble.UNSUBSCRIBED,
    MailTrouble.BOUNCED,
    MailTrouble.DROPPED,
)
DETAILS = {
    MailTrouble.SPAM_REPORT: "the member called a message spam",
    MailTrouble.UNSUBSCRIBED: "the member asked for no more",
}
"""The member's own words: they end every message. A dead address ends only mails."""


def is_suppressed(session: Session, company_id: str, address: str) -> MailTrouble | None:
    """Why no mail may go there; None: one may."""
    found = session.get(Suppression, (company_id, address.lower()))
    return None if found is None else found.reason


def suppress(
    session: Session, company_id: str, address: str, reason: MailTrouble, now: datetime
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
        end_messages(session, company_id, address, DETAILS[reason])


def end_messages(session: Session, company_id: str, address: str, detail: str) -> None:
    """What is queued or planned for the member, whichever way it would go."""
    same = (Payment.company_id == company_id, func.lower(Payment.member_email) == address)
    session.execute(
        update(Message)
        .where(
            Message.state == MessageState.QUEUED,
            Message.payment_id == Payment.payment_id,
            *same,
        )
        .values(state=MessageState.SKIPPED, detail=detail)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Payment)
        .where(*same, Payment.next_message_at.is_not(None))
        .values(next_step=None, next_message_at=None)
        .execution_options(synchronize_session=False)
    )


def list_suppressions(session: Session, company_id: str, limit: int = 200) -> Sequence[Suppression]:
    """The newest first."""
    return session.scalars(
        select(Suppression)
        .where(Suppression.company_id == company_id)
        .order_by(Suppression.since.desc(), Suppression.address)
        .limit(limit)
    ).all()


def choose_worst(known: MailTrouble | None, heard: MailTrouble) -> MailTrouble:
    return heard if known is None else min(known, heard, key=WORST_FIRST.index)
