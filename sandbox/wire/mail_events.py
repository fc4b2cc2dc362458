"""SendGrid's events: stored, sent to the receiver in batches, and sometimes sent twice."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

from sandbox.model.mail_readers import ReaderEvent
from sandbox.model.people import identifier
from sandbox.model.records import Due
from sandbox.model.times import sortable
from sandbox.state.store import Store
from sandbox.wire.webhooks import MAIL_EVENTS, Outbox

GATHERED_FOR = timedelta(seconds=2)
# Bytes, as SendGrid counts; an event is less than a kilobyte.
LARGEST_BATCH = 768_000
MOST_AT_ONCE = 2_000
TOLD_TWICE_SHARE = 0.05
POSTING = "sendgrid"


@dataclass(frozen=True)
class MailEvent:
    at: datetime
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.document["event"])


class MailEvents:
    def __init__(self, store: Store, outbox: Outbox, seed: int) -> None:
        self.store = store
        self.outbox = outbox
        self.seed = seed

    def plan(
        self,
        mail_id: str,
        common: dict[str, Any],
        planned: Iterable[ReaderEvent],
        as_text: bool = False,
    ) -> None:
        """Stores all future events of an email, each with its own time. A field that an event has
        no value for is left out. `as_text`: its time is written as text."""
        for number, event in enumerate(planned, 1):
            event_id = identifier("event", self.seed, mail_id, common["email"], number, length=22)
            seconds = int(event.at.timestamp())
            document = common | {
                "event": event.event,
                "timestamp": str(seconds) if as_text else seconds,
                "sg_event_id": event_id,
                "sg_message_id": f"{mail_id}.recvd-sandbox",
            }
            self.store.rows(
                "insert into mail_events (mail_id, at, document, posted) values (?, ?, ?, 0)",
                mail_id,
                sortable(event.at),
                json.dumps(drop_empty(document | event.more)),
            )
        self.schedule_batch()

    def of(self, mail_id: str, now: datetime) -> list[MailEvent]:
        """The events up to `now`."""
        found = self.store.rows(
            "select at, document from mail_events where mail_id = ? and at <= ?"
            " order by at, number",
            mail_id,
            sortable(now),
        )
        return [
            MailEvent(datetime.fromisoformat(at), json.loads(document)) for at, document in found
        ]

    def post(self, at: datetime) -> None:
        """Sends the events since the last batch. Sometimes events or the whole batch come twice."""
        number = self.store.next_number("mail batch")
        random = Random(f"{self.seed}/mail batch/{number}")
        found = self.store.rows(
            "select number, document from mail_events where posted = 0 and at <= ?"
            " order by at, number limit ?",
            sortable(at),
            MOST_AT_ONCE,
        )
        found = cut(found)
        documents = [json.loads(document) for _, document in found]
        again = random.random() < TOLD_TWICE_SHARE
        if again and documents:
            documents += random.sample(documents, random.randint(1, len(documents)))
        for row, _ in found:
            self.store.rows("update mail_events set posted = 1 where number = ?", row)
        if documents:
            batch_id = identifier("batch", self.seed, number, length=24)
            body = json.dumps(documents, separators=(",", ":")).encode()
            self.outbox.add(batch_id, MAIL_EVENTS, body, at, copies=2 if again else 1)
        self.schedule_batch()

    def schedule_batch(self) -> None:
        (first,) = self.store.row("select min(at) from mail_events where posted = 0")
        if first is not None:
            at = datetime.fromisoformat(first) + GATHERED_FOR
            self.store.schedule(Due("mail_events", POSTING, at))


def cut(found: list[Any]) -> list[Any]:
    """Those that fit into half a batch, the first at least: some may come twice in it."""
    sizes = accumulate(len(document) for _, document in found)
    fitting = sum(1 for size in sizes if size <= LARGEST_BATCH // 2)
    return found[: max(fitting, 1)]


def drop_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
