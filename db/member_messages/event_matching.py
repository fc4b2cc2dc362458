"""Which message a mail service's event is about: by more than a number.

Numbers repeat: after a restored backup, and in another deployment that sends by the same account.
So all that we sent along must agree, and the service's own id of the email too, where both know
one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.models import Message
from recovery.delivery import DeliveryFailure, MailEventKind
from recovery.status import Channel


@dataclass(frozen=True, slots=True)
class SentAlong:
    """What left with the email and comes back with its events."""

    message_id: int
    company_id: str
    payment_id: str
    step: str


SENT_ALONG = tuple(field.name for field in fields(SentAlong))


@dataclass(frozen=True, slots=True)
class MailReport:
    """One event. `ends`: why its address must get no more emails; None: it may.

    `sent_along` is None where nothing of it came back, as with bounces that arrive hours later:
    then only `email_id`, the service's id of the email, tells. It is empty where that is missing.
    """

    event_id: str
    kind: MailEventKind
    happened_at: datetime
    email_id: str = ""
    sent_along: SentAlong | None = None
    ends: DeliveryFailure | None = None


def match_messages(
    session: Session, reports: Iterable[MailReport]
) -> list[tuple[MailReport, Message]]:
    """The reports that are about a message of ours, in their order, with its locked row."""
    reports = list(reports)
    by_number: dict[int, Message] = {}
    by_provider: dict[str, Message] = {}
    for message in lock_candidates(session, reports):
        by_number[message.id] = message
        if message.provider_id is not None:
            by_provider[message.provider_id] = message
    found = ((report, find_message(report, by_number, by_provider)) for report in reports)
    return [(report, message) for report, message in found if message is not None]


def lock_candidates(session: Session, reports: Iterable[MailReport]) -> list[Message]:
    """Locks rows in one order, so that two batches cannot wait for each other."""
    numbers, provider_ids = set[int](), set[str]()
    for report in reports:
        if report.sent_along is not None:
            numbers.add(report.sent_along.message_id)
        else:
            provider_ids.update(list_provider_ids(report.email_id))
    ways = [Message.id.in_(numbers)] if numbers else []
    if provider_ids:
        ways.append(Message.provider_id.in_(provider_ids))
    if not ways:
        return []
    emails = select(Message).where(or_(*ways), Message.channel == Channel.EMAIL)
    return list(session.scalars(emails.order_by(Message.id).with_for_update()))


def find_message(
    report: MailReport, by_number: dict[int, Message], by_provider: dict[str, Message]
) -> Message | None:
    """None: it is about no message of ours, or about two."""
    if report.sent_along is not None:
        message = by_number.get(report.sent_along.message_id)
        return message if message is not None and agrees(report, message) else None
    named = [by_provider[one] for one in list_provider_ids(report.email_id) if one in by_provider]
    return named[0] if len(named) == 1 else None


def agrees(report: MailReport, message: Message) -> bool:
    """Whether all that the event says of its message is true of this one."""
    ours = SentAlong(message.id, message.company_id, message.payment_id, message.step)
    # invariant 6: an event agrees with all that left with its email
    if report.sent_along != ours:
        return False
    if not report.email_id or message.provider_id is None:
        return True
    return message.provider_id in list_provider_ids(report.email_id)


def list_provider_ids(email_id: str) -> list[str]:
    """The X-Message-Ids that this id may belong to.

    SendGrid answers a call with an X-Message-Id, and appends a dot and the server's name to it for
    each email: "<X-Message-Id>.recvd-…", ".filter0001…". Older ones have dots of their own.
    """
    parts = email_id.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1) if parts[0]]
