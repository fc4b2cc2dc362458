"""Applies the mail service's events to messages: each event once, in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from db.member_messages.suppressions import choose_worst, suppress
from db.models import MailEvent, Message, Payment
from recovery.status import DeliveryFailure, MailEventKind, MessageState

TIMES = {
    MailEventKind.DELIVERED: "delivered_at",
    MailEventKind.OPENED: "opened_at",
    MailEventKind.CLICKED: "clicked_at",
}
FAILURES = {
    MailEventKind.BOUNCED: DeliveryFailure.BOUNCED,
    MailEventKind.BLOCKED: DeliveryFailure.BOUNCED,
    MailEventKind.DROPPED: DeliveryFailure.DROPPED,
    MailEventKind.SPAM_REPORT: DeliveryFailure.SPAM_REPORT,
    MailEventKind.UNSUBSCRIBED: DeliveryFailure.UNSUBSCRIBED,
}
# Every other event proves that the email was sent.
NOT_SENT = frozenset({MailEventKind.DROPPED})


@dataclass(frozen=True, slots=True)
class MailReport:
    """One event. `ends`: why its address must get no more emails; None: it may."""

    event_id: str
    message_id: int
    company_id: str
    kind: MailEventKind
    happened_at: datetime
    ends: DeliveryFailure | None = None


def record(session: Session, reports: Iterable[MailReport], now: datetime) -> int:
    """Returns how many were new. Ignores events that are not about a message of their company."""
    by_id = {report.event_id: report for report in reports}
    messages = lock_messages(session, {report.message_id for report in by_id.values()})
    ours = [
        report
        for report in by_id.values()
        if report.message_id in messages
        and messages[report.message_id].company_id == report.company_id
    ]
    new = save_new(session, ours, now)
    for report in new:
        record_event(session, messages[report.message_id], report, now)
    session.flush()
    settle_unknown(session, {report.message_id for report in new})
    return len(new)


def lock_messages(session: Session, ids: set[int]) -> dict[int, Message]:
    """Locks rows in one order, so that two batches cannot wait for each other."""
    found = session.scalars(
        select(Message).where(Message.id.in_(ids)).order_by(Message.id).with_for_update()
    )
    return {message.id: message for message in found}


def save_new(session: Session, reports: list[MailReport], now: datetime) -> list[MailReport]:
    """Returns those that were not stored before."""
    if not reports:
        return []
    rows = [
        {
            "event_id": report.event_id,
            "message_id": report.message_id,
            "company_id": report.company_id,
            "kind": report.kind,
            "happened_at": report.happened_at,
            "received_at": now,
        }
        for report in sorted(reports, key=lambda report: report.event_id)
    ]
    kept = session.scalars(
        insert(MailEvent).values(rows).on_conflict_do_nothing().returning(MailEvent.event_id)
    )
    new = set(kept)
    return [report for report in reports if report.event_id in new]


def record_event(session: Session, message: Message, report: MailReport, now: datetime) -> None:
    if (column := TIMES.get(report.kind)) is not None:
        known = getattr(message, column)
        setattr(message, column, min(known or report.happened_at, report.happened_at))
    if (failure := FAILURES.get(report.kind)) is not None:
        record_failure(message, failure, report.happened_at)
    if report.ends is not None:
        suppress_address_of(session, message, report.ends, now)


def record_failure(message: Message, failure: DeliveryFailure, at: datetime) -> None:
    """Keeps the worst failure, with the first time it was reported."""
    worst = choose_worst(message.delivery_failure, failure)
    if message.delivery_failure is None or worst is not message.delivery_failure:
        message.delivery_failure, message.delivery_failed_at = worst, at
    elif failure is worst:
        message.delivery_failed_at = min(message.delivery_failed_at or at, at)


def suppress_address_of(
    session: Session, message: Message, reason: DeliveryFailure, now: datetime
) -> None:
    """Suppresses the payment's address, not the event's: an event must not suppress a
    stranger's."""
    address = session.scalar(
        select(Payment.member_email).where(Payment.payment_id == message.payment_id)
    )
    if address:
        suppress(session, message.company_id, address, reason, now)


def record_opt_out(session: Session, message_id: int, now: datetime) -> bool:
    """For the link in the message. False: there is no such message."""
    message = lock_messages(session, {message_id}).get(message_id)
    if message is None:
        return False
    record_failure(message, DeliveryFailure.UNSUBSCRIBED, now)
    session.flush()
    suppress_address_of(session, message, DeliveryFailure.UNSUBSCRIBED, now)
    return True


def settle_unknown(session: Session, message_ids: Iterable[int]) -> int:
    """Marks `unknown` messages `sent` once an event proves that they were sent, also if that event
    came before the message became `unknown`. Returns how many."""
    ids = list(message_ids)
    proof = (
        select(MailEvent.message_id, func.min(MailEvent.happened_at).label("sent_at"))
        .where(MailEvent.message_id.in_(ids), MailEvent.kind.not_in(NOT_SENT))
        .group_by(MailEvent.message_id)
        .subquery()
    )
    settled = session.scalars(
        update(Message)
        .where(Message.state == MessageState.UNKNOWN, Message.id == proof.c.message_id)
        .values(state=MessageState.SENT, sent_at=proof.c.sent_at, detail=None)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    ).all()
    lead = aliased(Message)
    session.execute(
        update(Message)
        .where(
            Message.joined_to == lead.id,
            lead.id.in_(settled),
            Message.state == MessageState.JOINED,
        )
        .values(sent_at=lead.sent_at)
        .execution_options(synchronize_session=False)
    )
    return len(settled)
