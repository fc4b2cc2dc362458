"""Writes, signs and redelivers webhooks as Whop does."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox.model.people import identifier
from sandbox.model.switches import WEBHOOK, Faults
from sandbox.model.times import iso, sortable
from sandbox.state.store import Store
from sandbox.wire.shapes import Shape

# Sends headers and body to the receiver. Returns the status; 0: no answer.
Deliver = Callable[[dict[str, str], bytes], int]

REDELIVERY = tuple(timedelta(seconds=seconds) for seconds in (10, 20, 40))
# The type of a delivery that is not Whop's: a batch of SendGrid's events.
MAIL_EVENTS = "mail events"
# SendGrid retries for 24 hours; it does not document when.
MAIL_REDELIVERY = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 480, 720))


@dataclass(frozen=True)
class PendingDelivery:
    """A webhook to be delivered. Redeliveries have the same id."""

    number: int
    webhook_id: str
    type: str
    body: bytes
    due_at: datetime
    failures: int


def envelope(
    webhook_id: str,
    event: str,
    account_id: str,
    described: dict[str, Any],
    shape: Shape,
    at: datetime,
) -> bytes:
    account = "account_id" if shape == "current" else "company_id"
    written = {
        "id": webhook_id,
        "api_version": "v1",
        "timestamp": iso(at),
        "type": event,
        account: account_id,
        "data": described,
    }
    return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()


def signed(secret: str, webhook_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers of a delivery. The key is the secret's bytes, including the `ws_` prefix."""
    timestamp = str(int(at.timestamp()))
    message = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.digest(secret.encode(), message, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


class Outbox:
    """Webhooks that are not accepted yet. They are stored, so that they survive a restart."""

    def __init__(self, store: Store, faults: Faults, seed: int) -> None:
        self.store = store
        self.faults = faults
        self.seed = seed

    def announce(
        self, event: str, account_id: str, described: dict[str, Any], shape: Shape, at: datetime
    ) -> None:
        webhook_id = identifier("msg", self.seed, self.store.next_number("webhook"), length=24)
        body = envelope(webhook_id, event, account_id, described, shape, at)
        fault = self.faults.take(f"{WEBHOOK}:{event}", WEBHOOK)
        copies, due_at = 1, at
        if fault and fault.kind == "drop":
            copies = 0
        elif fault and fault.kind == "duplicate":
            copies = 2
        elif fault and fault.kind == "delay":
            due_at = at + timedelta(seconds=fault.seconds)
        self.add(webhook_id, event, body, due_at, copies)

    def add(self, webhook_id: str, event: str, body: bytes, due_at: datetime, copies: int) -> None:
        for _ in range(copies):
            self.store.rows(
                "insert into letters (webhook_id, type, body, due_at) values (?, ?, ?, ?)",
                webhook_id,
                event,
                body,
                sortable(due_at),
            )

    def first(self) -> PendingDelivery | None:
        deliveries = self.waiting(limit=1)
        return deliveries[0] if deliveries else None

    def waiting(self, limit: int = -1) -> list[PendingDelivery]:
        sql = (
            "select number, webhook_id, type, body, due_at, failures from letters"
            " order by due_at, number limit ?"
        )
        return [
            PendingDelivery(
                number, webhook_id, event, body, datetime.fromisoformat(due_at), failures
            )
            for number, webhook_id, event, body, due_at, failures in self.store.rows(sql, limit)
        ]

    def claim(self, delivery: PendingDelivery, sent_at: datetime) -> None:
        """Counts the delivery as failed before it is sent: a crash leads to a redelivery."""
        waits = MAIL_REDELIVERY if delivery.type == MAIL_EVENTS else REDELIVERY
        if delivery.failures == len(waits):
            self.accepted(delivery)
            return
        self.store.rows(
            "update letters set failures = failures + 1, due_at = ? where number = ?",
            sortable(sent_at + waits[delivery.failures]),
            delivery.number,
        )

    def accepted(self, delivery: PendingDelivery) -> None:
        self.store.rows("delete from letters where number = ?", delivery.number)
