"""What sending came to: of a mail, a chat message or a creator's notice, whoever carried it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class DeliveryState(StrEnum):
    SENT = "sent"
    # It was not taken and never will be.
    REFUSED = "refused"
    # It was not taken; it may be tried again.
    PUT_OFF = "put_off"
    # It may have been taken: it is never sent again.
    UNKNOWN = "unknown"
    # There was nothing to say any more, and nothing left.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Delivery:
    """`detail` is safe to log: no address is in it. `retry_after` is set where the service said it,
    `provider_id` where it gave the message an id."""

    state: DeliveryState
    detail: str | None = None
    retry_after: timedelta | None = None
    provider_id: str | None = None


def sent(provider_id: str | None = None) -> Delivery:
    return Delivery(DeliveryState.SENT, provider_id=provider_id)


def refused(detail: str) -> Delivery:
    return Delivery(DeliveryState.REFUSED, detail)


def put_off(detail: str, retry_after: timedelta | None = None) -> Delivery:
    return Delivery(DeliveryState.PUT_OFF, detail, retry_after)


def unknown(detail: str) -> Delivery:
    return Delivery(DeliveryState.UNKNOWN, detail)


def skipped(detail: str) -> Delivery:
    return Delivery(DeliveryState.SKIPPED, detail)
