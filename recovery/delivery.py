"""What sending an email, a chat message or a notice came to, by any service; and what becomes of an
email after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class DeliveryState(StrEnum):
    SENT = "sent"
    # Not accepted, and a second try would not be either.
    REFUSED = "refused"
    # Not accepted, since this channel does not reach the member. Another one may.
    ADDRESS_REFUSED = "address_refused"
    # Not accepted, and nothing else of ours is, until somebody corrects the account.
    ACCOUNT_REFUSED = "account_refused"
    # Not accepted now; it may be tried again.
    PUT_OFF = "put_off"
    # It may have been accepted, so it is never sent again.
    UNKNOWN = "unknown"
    # There was no longer a reason to send it, and nothing was sent.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Delivery:
    """`detail` is safe to log: it contains no address. `retry_after`: how long the service asks us
    to wait. `provider_id`: the service's id of the message."""

    state: DeliveryState
    detail: str | None = None
    retry_after: timedelta | None = None
    provider_id: str | None = None


def sent(provider_id: str | None = None) -> Delivery:
    return Delivery(DeliveryState.SENT, provider_id=provider_id)


def refused(detail: str) -> Delivery:
    return Delivery(DeliveryState.REFUSED, detail)


def address_refused(detail: str) -> Delivery:
    return Delivery(DeliveryState.ADDRESS_REFUSED, detail)


def account_refused(detail: str) -> Delivery:
    return Delivery(DeliveryState.ACCOUNT_REFUSED, detail)


def put_off(detail: str, retry_after: timedelta | None = None) -> Delivery:
    return Delivery(DeliveryState.PUT_OFF, detail, retry_after)


def unknown(detail: str) -> Delivery:
    return Delivery(DeliveryState.UNKNOWN, detail)


def skipped(detail: str) -> Delivery:
    return Delivery(DeliveryState.SKIPPED, detail)


# --- what becomes of an email ------------------------------------------------------------------


class DeliveryFailure(StrEnum):
    """Why an email did not arrive, or why its address gets no more."""

    BOUNCED = "bounced"
    DROPPED = "dropped"
    SPAM_REPORT = "spam_report"
    UNSUBSCRIBED = "unsubscribed"


# The member did not get it. A spam report or an opt-out comes from a member who did.
NOT_ARRIVED = frozenset({DeliveryFailure.BOUNCED, DeliveryFailure.DROPPED})
# What hurts the sender's reputation, spam reports included.
AGAINST_THE_SENDER = NOT_ARRIVED | {DeliveryFailure.SPAM_REPORT}


class MailEventKind(StrEnum):
    # The mail service accepted the email and will deliver it.
    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    # The address does not exist.
    BOUNCED = "bounced"
    # Refused this time; the address may still be good.
    BLOCKED = "blocked"
    # The mail service did not try to deliver it.
    DROPPED = "dropped"
    SPAM_REPORT = "spam_report"
    UNSUBSCRIBED = "unsubscribed"
