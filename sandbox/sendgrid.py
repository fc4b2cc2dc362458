"""SendGrid's mail endpoint, and the post room where its mails can be read."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sandbox.exchange import Answer, Request, in_json, lost_before
from sandbox.people import identifier
from sandbox.store import Missing
from sandbox.switches import EVERY_OPERATION, Fault
from sandbox.times import sortable, utc
from sandbox.world import World

PATH = "/v3/mail/send"
OPERATION = "mail.send"


@dataclass(frozen=True)
class Mail:
    id: str
    at: datetime
    sent: Mapping[str, Any]

    @property
    def recipients(self) -> list[str]:
        return [to["email"] for one in self.sent["personalizations"] for to in one["to"]]

    @property
    def subject(self) -> str:
        first = self.sent["personalizations"][0]
        return str(first.get("subject") or self.sent.get("subject", ""))

    @property
    def custom_args(self) -> dict[str, str]:
        own = self.sent["personalizations"][0].get("custom_args", {})
        return {**self.sent.get("custom_args", {}), **own}

    def part(self, media_type: str) -> str:
        parts = (part["value"] for part in self.sent["content"] if part["type"] == media_type)
        return next(parts, "")


class SendGrid:
    def __init__(self, world: World, keys: Collection[str] = ("SG.sandbox",)) -> None:
        self._world = world
        self._keys = frozenset(keys)

    def handle(self, request: Request, now: datetime) -> Answer:
        if (request.method, request.path) != ("POST", PATH):
            return _errors(404, [("There is no such endpoint", None)])
        if request.bearer not in self._keys:
            return _errors(401, [("The API key is invalid, expired or revoked", None)])
        fault = self._world.faults.take(OPERATION, EVERY_OPERATION)
        if lost := lost_before(fault):
            return lost
        if fault and fault.kind == "status":
            return _errors(fault.status, [("The mail could not be taken", None)])
        return _after(fault, self._take(request.body, utc(now)))

    def mails(self, limit: int = -1) -> list[Mail]:
        """The newest first."""
        sql = "select id, at, document from mails order by number desc limit ?"
        return [
            Mail(mail_id, datetime.fromisoformat(at), json.loads(document))
            for mail_id, at, document in self._world.store.rows(sql, limit)
        ]

    def _take(self, body: bytes, now: datetime) -> Answer:
        try:
            sent = json.loads(body)
        except ValueError:
            return _errors(400, [("Bad Request", None)])
        if wrong := list(wrong_with(sent)):
            return _errors(400, wrong)
        store = self._world.store
        with store.transaction():
            number = store.next_number("mails")
            mail = Mail(identifier("mail", self._world.seed, number, length=22), now, sent)
            store.rows(
                "insert into mails (id, at, document) values (?, ?, ?)",
                mail.id,
                sortable(now),
                json.dumps(sent),
            )
            if payment_id := mail.custom_args.get("payment_id"):
                with suppress(Missing):
                    self._world.mail_arrives(payment_id, now)
        return Answer(202, {"x-message-id": mail.id})


def wrong_with(sent: Any) -> Iterator[tuple[str, str | None]]:
    """(message, field) of everything SendGrid would refuse the mail for."""
    if not isinstance(sent, dict):
        yield "Bad Request", None
        return
    yield from _wrong_with_recipients(sent.get("personalizations"))
    if not _addressed(sent.get("from")):
        yield "The from object must be provided, with an email address", "from.email"
    templated = bool(sent.get("template_id"))
    if not (sent.get("subject") or templated or _each_has_subject(sent)):
        yield "The subject is required, here or in every personalization", "subject"
    content = sent.get("content")
    if not content and not templated:
        yield "At least one content block is required without a template_id", "content"
        return
    for number, part in enumerate(content or []):
        for name in ("type", "value"):
            if not isinstance(part, dict) or not part.get(name):
                yield (
                    f"The content {name} must be a string of at least one character",
                    (f"content.{number}.{name}"),
                )


def _wrong_with_recipients(personalizations: Any) -> Iterator[tuple[str, str | None]]:
    if not isinstance(personalizations, list) or not personalizations:
        yield "The personalizations field needs at least one personalization", "personalizations"
        return
    for number, one in enumerate(personalizations):
        recipients = one.get("to") if isinstance(one, dict) else None
        if not isinstance(recipients, list) or not recipients:
            yield "The to array needs at least one recipient", f"personalizations.{number}.to"
        elif not all(_addressed(to) for to in recipients):
            yield "The email address is not valid", f"personalizations.{number}.to.email"


def _each_has_subject(sent: Mapping[str, Any]) -> bool:
    personalizations = sent.get("personalizations")
    if not isinstance(personalizations, list) or not personalizations:
        return False
    return all(isinstance(one, dict) and one.get("subject") for one in personalizations)


def _addressed(person: Any) -> bool:
    if not isinstance(person, dict):
        return False
    name, at, domain = str(person.get("email", "")).partition("@")
    return bool(name and at and domain)


def _errors(status: int, found: Collection[tuple[str, str | None]]) -> Answer:
    errors = [{"message": message, "field": field, "help": None} for message, field in found]
    return in_json(status, {"errors": errors})


def _after(fault: Fault | None, answer: Answer) -> Answer:
    match fault:
        case Fault(kind="timeout_after"):
            return replace(answer, lost="timeout")
        case Fault(kind="500_after"):
            return _errors(500, [("Something went wrong", None)])
        case Fault(kind="latency"):
            return replace(answer, delay=fault.seconds)
        case _:
            return answer
