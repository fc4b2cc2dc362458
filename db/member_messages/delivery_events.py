"""Applies the mail service's events to messages: each event once, in any order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from db.company_settings.addresses import find_address
from db.member_messages.event_matching import MailReport, match_messages
from db.member_messages.suppressions import choose_worst, suppress
from db.models import MailEvent, Message, Payment
from recovery.delivery import DeliveryFailure, MailEventKind
from recovery.status import MessageState

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


def record(session: Session, reports: Iterable[MailReport], now: datetime) -> list[int]:
    """Returns the message of each new event. Ignores events that are not about one of ours."""
    matched: dict[str, tuple[MailReport, Message]] = {}
    # Of a report that comes twice, the first counts, in a batch as between batches.
    for report, message in match_messages(session, reports):
        matched.setdefault(report.event_id, (report, message))
    new = save_new(session, matched, now)
    for report, message in new:
        record_event(session, message, report, now)
    session.flush()
    settle_unknown(session, {message.id for _, message in new})
    return [message.id for _, message in new]


def list_payments(session: Session, message_ids: Collection[int]) -> Sequence[str]:
    """Which payments these messages spoke of."""
    if not message_ids:
        return ()
    about = or_(Message.id.in_(message_ids), Message.joined_to.in_(message_ids))
    return session.scalars(select(Message.payment_id).where(about)).all()


def save_new(
    session: Session, matched: Mapping[str, tuple[MailReport, Message]], now: datetime
) -> list[tuple[MailReport, Message]]:
    """`matched`: by the event's id. Returns those that were not stored before."""
    if not matched:
        return []
    rows = [
        {
            "event_id": event_id,
            "message_id": message.id,
            "company_id": message.company_id,
            "kind": report.kind,
            "happened_at": report.happened_at,
            "received_at": now,
        }
        for event_id, (report, message) in sorted(matched.items())
    ]
    kept = session.scalars(
        insert(MailEvent).values(rows).on_conflict_do_nothing().returning(MailEvent.event_id)
    )
    new = set(kept)
    return [pair for event_id, pair in matched.items() if event_id in new]


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
    known = select(Payment.member_email).where(Payment.payment_id == message.payment_id)
    if address := find_address(session.scalar(known)):
        suppress(session, message.company_id, address, reason, now)


def record_opt_out(session: Session, message_id: int, now: datetime) -> bool:
    """For the link in the message. False: there is no such message."""
    message = session.get(Message, message_id, with_for_update=True)
    if message is None:
        return False
    record_failure(message, DeliveryFailure.UNSUBSCRIBED, now)
    session.flush()
    suppress_address_of(session, message, DeliveryFailure.UNSUBSCRIBED, now)
    return True


def settle_unknown(session: Session, message_ids: Iterable[int]) -> int:
    """Marks `unknown` messages `sent` once an event proves that they were sent, also if that event
    came before the message became `unknown`. Returns how many.

    `sent_at` is the time of the earliest event, in whatever order they come.
    """
    ids = list(message_ids)
    proof = (
        select(MailEvent.message_id, func.min(MailEvent.happened_at).label("sent_at"))
        .where(MailEvent.message_id.in_(ids), MailEvent.kind.not_in(NOT_SENT))
        .group_by(MailEvent.message_id)
        .subquery()
    )
    settled = session.scalars(
        update(Message)
        .where(
            Message.id == proof.c.message_id,
            or_(
                Message.state == MessageState.UNKNOWN,
                # The service never answered: only its events say when it was sent.
                and_(
                    Message.state == MessageState.SENT,
                    Message.provider_id.is_(None),
                    Message.sent_at > proof.c.sent_at,
                ),
            ),
        )
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
