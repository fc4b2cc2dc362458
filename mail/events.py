"""Reads what SendGrid's event webhook tells of our emails."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import orjson

from db.member_messages.event_matching import SENT_ALONG, MailReport, SentAlong
from recovery.delivery import DeliveryFailure, MailEventKind

NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
LARGEST_ID = 2**63 - 1
EVENT_ID = re.compile(r"[\x21-\x7e]{1,255}")
# Python writes large floats with an exponent, which no time has.
UNIX_TIME = re.compile(r"[0-9]{1,11}(\.[0-9]{1,20})?", re.ASCII)
# SendGrid tells of an event at once, and again for a day; so an older one has a wrong time.
LONGEST_AGO = timedelta(days=30)
DEAD = frozenset({"bounce", "bounced"})
# An app that loads every picture by itself. Some libraries pass this on as text.
MACHINE = (True, "true", "True")

KINDS = {
    "processed": MailEventKind.PROCESSED,
    "deferred": MailEventKind.DEFERRED,
    "delivered": MailEventKind.DELIVERED,
    "open": MailEventKind.OPENED,
    "click": MailEventKind.CLICKED,
    "bounce": MailEventKind.BOUNCED,
    "dropped": MailEventKind.DROPPED,
    "spamreport": MailEventKind.SPAM_REPORT,
    "unsubscribe": MailEventKind.UNSUBSCRIBED,
    "group_unsubscribe": MailEventKind.UNSUBSCRIBED,
}
ENDS = {
    MailEventKind.BOUNCED: DeliveryFailure.BOUNCED,
    MailEventKind.SPAM_REPORT: DeliveryFailure.SPAM_REPORT,
    MailEventKind.UNSUBSCRIBED: DeliveryFailure.UNSUBSCRIBED,
}
# SendGrid's reasons that concern the address. Its others ("Invalid SMTPAPI header", "Spam Content")
# concern the email, not its reader.
DROP_REASONS = {
    "bounced address": DeliveryFailure.BOUNCED,
    "spam reporting address": DeliveryFailure.SPAM_REPORT,
    "unsubscribed address": DeliveryFailure.UNSUBSCRIBED,
    "invalid": DeliveryFailure.DROPPED,
}


class EventsError(Exception):
    """The body is not what SendGrid sends."""


class MalformedError(EventsError):
    """The body is not JSON."""


def read_events(body: bytes, now: datetime) -> list[MailReport]:
    """The events that may concern one of our messages. Raises EventsError.

    Unknown and malformed events are skipped. If they were refused, SendGrid would resend the whole
    batch for a day and then drop it, valid events included. How many there are does not matter:
    SendGrid limits a batch by its bytes.
    """
    parsed = read_json(body)
    if not isinstance(parsed, list) or not parsed:
        raise EventsError("send an array of events")
    found = (read_event(event, now) for event in parsed if isinstance(event, dict))
    return [report for report in found if report is not None]


def read_json(body: bytes) -> Any:
    """Raises MalformedError. Half a surrogate pair in some reader's browser spoils no batch."""
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(body)
    try:
        return json.loads(body, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise MalformedError("the body is not JSON") from None


def refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)


def read_event(event: Mapping[str, Any], now: datetime) -> MailReport | None:
    """None: it concerns no message of ours, or nobody can tell which."""
    kind = read_kind(event)
    event_id, email_id = text_of(event, "sg_event_id"), text_of(event, "sg_message_id")
    if kind is None or not EVENT_ID.fullmatch(event_id):
        return None
    sent_along = read_sent_along(event)
    is_bare = not any(event.get(name) for name in SENT_ALONG)
    if email_id and not EVENT_ID.fullmatch(email_id):
        return None
    if sent_along is None and not (is_bare and email_id):
        return None
    happened_at = read_time(event.get("timestamp"), now)
    return MailReport(event_id, kind, happened_at, email_id, sent_along, read_end(event, kind))


def read_kind(event: Mapping[str, Any]) -> MailEventKind | None:
    """None: an event that we do not know, or one that no person caused."""
    kind = KINDS.get(text_of(event, "event"))
    if kind is MailEventKind.BOUNCED and not is_dead(event):
        return MailEventKind.BLOCKED
    if kind is MailEventKind.OPENED and event.get("sg_machine_open") in MACHINE:
        return None
    return kind


def is_dead(event: Mapping[str, Any]) -> bool:
    """Whether a bounce says that its address does not exist.

    SendGrid also calls it a bounce when a server refused this email ("blocked"), or was not reached
    for days ("expired"). Where it does not say which, a 4.x.x of the server's was not for good.
    """
    kind = text_of(event, "type").strip().lower()
    return kind in DEAD if kind else not text_of(event, "status").strip().startswith("4")


def read_end(event: Mapping[str, Any], kind: MailEventKind) -> DeliveryFailure | None:
    if kind is MailEventKind.DROPPED:
        return DROP_REASONS.get(text_of(event, "reason").strip().lower())
    return ENDS.get(kind)


def read_sent_along(event: Mapping[str, Any]) -> SentAlong | None:
    """None: not all of it came back."""
    number, *others = (text_of(event, name) for name in SENT_ALONG)
    message_id = read_number(number)
    if message_id is None or not all(others):
        return None
    return SentAlong(message_id, *others)


def read_time(value: Any, now: datetime) -> datetime:
    """Unix seconds, as a number or as text. A time that cannot be is taken for now."""
    text = str(value).strip() if isinstance(value, int | float | str) else ""
    if isinstance(value, bool) or not UNIX_TIME.fullmatch(text):
        return now
    happened_at = datetime.fromtimestamp(float(text), UTC)
    return happened_at if now - LONGEST_AGO <= happened_at <= now else now


def read_number(text: str) -> int | None:
    """Reads a message id, which is text because custom arguments always are."""
    return int(text) if NUMBER.fullmatch(text) and int(text) <= LARGEST_ID else None


def text_of(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""
