"""SendGrid's endpoint for sending, its suppression lists, and the emails it received."""

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sandbox.model.people import identifier
from sandbox.model.switches import EVERY_OPERATION, Fault
from sandbox.model.times import sortable, utc
from sandbox.servers.carrier import LISTS, Carrier
from sandbox.servers.mails import Mail, find_faults, is_only_checked
from sandbox.wire.exchange import Answer, Request, in_json, lost_before
from sandbox.wire.mail_refusals import MAIL_REFUSALS
from sandbox.wire.mail_signing import SENDGRID_KEY
from sandbox.world.world import World

PATH = "/v3/mail/send"
OPERATION = "mail.send"
SIGNED_PATH = "/v3/user/webhooks/event/settings/signed"
LIST_PATHS = {f"/v3/suppression/{name}": name for name in LISTS}


class SendGrid:
    def __init__(self, world: World, keys: Collection[str] = (SENDGRID_KEY,)) -> None:
        self.world = world
        self.keys = frozenset(keys)
        self.carrier = Carrier(world)

    def handle(self, request: Request, now: datetime) -> Answer:
        if request.bearer not in self.keys:
            return refuse(401, [("The API key is invalid, expired or revoked", None)])
        if request.method == "GET" and request.path in LIST_PATHS:
            return in_json(200, self.carrier.suppressed(LIST_PATHS[request.path]))
        if (request.method, request.path) == ("GET", SIGNED_PATH):
            return in_json(200, {"public_key": self.world.mail_signer.public_key})
        if (request.method, request.path) != ("POST", PATH):
            return refuse(404, [("There is no such endpoint", None)])
        fault = self.world.faults.take(OPERATION, EVERY_OPERATION)
        if lost := lost_before(fault):
            return lost
        if fault and fault.kind == "status":
            return refuse(fault.status, [("The email could not be accepted", None)])
        if (refusal := MAIL_REFUSALS.get(self.world.switches.mail_refusal)) is not None:
            status, message, field = refusal
            return refuse(status, [(message, field)])
        return apply_fault(fault, self.take(request.body, utc(now)))

    def mails(self, limit: int = -1) -> list[Mail]:
        """Newest first."""
        sql = "select id, at, document from mails order by number desc limit ?"
        return [
            Mail(mail_id, datetime.fromisoformat(at), json.loads(document))
            for mail_id, at, document in self.world.store.rows(sql, limit)
        ]

    def take(self, body: bytes, now: datetime) -> Answer:
        try:
            sent = json.loads(body)
        except ValueError:
            return refuse(400, [("Bad Request", None)])
        if wrong := list(find_faults(sent)):
            return refuse(400, wrong)
        if is_only_checked(sent):
            return Answer(200)
        store = self.world.store
        with store.transaction():
            number = store.next_number("mails")
            mail = Mail(identifier("mail", self.world.seed, number, length=22), now, sent)
            store.rows(
                "insert into mails (id, at, document) values (?, ?, ?)",
                mail.id,
                sortable(now),
                json.dumps(sent),
            )
            self.carrier.deliver(mail, number, now)
        return Answer(202, {"x-message-id": mail.id})


def refuse(status: int, found: Collection[tuple[str, str | None]]) -> Answer:
    errors = [{"message": message, "field": field, "help": None} for message, field in found]
    return in_json(status, {"errors": errors})


def apply_fault(fault: Fault | None, answer: Answer) -> Answer:
    match fault:
        case Fault(kind="timeout_after"):
            return replace(answer, lost="timeout")
        case Fault(kind="500_after"):
            return refuse(500, [("Something went wrong", None)])
        case Fault(kind="latency"):
            return replace(answer, delay=fault.seconds)
        case _:
            return answer
