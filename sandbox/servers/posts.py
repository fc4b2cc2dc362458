"""The incoming webhooks of Discord and Slack, as far as they are documented."""

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sandbox.model.switches import EVERY_OPERATION, Fault
from sandbox.model.times import iso, sortable, utc
from sandbox.wire.exchange import Answer, Request, in_json, lost_before
from sandbox.world.world import World

OPERATION = "posts.send"
PATHS = {
    "Discord": re.compile(r"/api/(?:v\d+/)?webhooks/\d+/[\w-]+"),
    "Slack": re.compile(r"/services/\w+/\w+/\w+"),
}
LONGEST_CONTENT = 2000


@dataclass(frozen=True)
class Post:
    platform: str
    at: datetime
    sent: Any

    @property
    def text(self) -> str:
        return str(self.sent["content" if self.platform == "Discord" else "text"])


def find_platform(path: str) -> str | None:
    return next((name for name, known in PATHS.items() if known.fullmatch(path)), None)


class Posts:
    def __init__(self, world: World) -> None:
        self.world = world

    def handle(self, request: Request, now: datetime) -> Answer:
        platform = find_platform(request.path)
        if platform is None or request.method != "POST":
            return in_json(404, {"message": "Unknown Webhook", "code": 10015})
        fault = self.world.faults.take(OPERATION, EVERY_OPERATION)
        if lost := lost_before(fault):
            return lost
        if fault and fault.kind == "status":
            location = {"location": "http://169.254.169.254/"} if 300 <= fault.status < 400 else {}
            return Answer(fault.status, location)
        return apply_fault(fault, self.take(platform, request.body, utc(now)))

    def list(self) -> list[Post]:
        """Newest first."""
        sql = "select platform, at, document from posts order by number desc"
        return [
            Post(platform, datetime.fromisoformat(at), json.loads(document))
            for platform, at, document in self.world.store.rows(sql)
        ]

    def take(self, platform: str, body: bytes, now: datetime) -> Answer:
        try:
            sent = json.loads(body)
        except ValueError:
            sent = None
        if refused := find_refusal(platform, sent):
            return refused
        self.world.store.rows(
            "insert into posts (platform, at, document) values (?, ?, ?)",
            platform,
            sortable(now),
            json.dumps(sent),
        )
        return Answer(204) if platform == "Discord" else Answer(200, body=b"ok")


def post_in_json(post: Post) -> dict[str, object]:
    return {"platform": post.platform, "at": iso(post.at), "text": post.text, "sent": post.sent}


def find_refusal(platform: str, sent: Any) -> Answer | None:
    text = sent.get("content" if platform == "Discord" else "text") if is_object(sent) else None
    if platform == "Slack":
        problem = b"no_text" if is_object(sent) else b"invalid_payload"
        return None if text else Answer(400, body=problem)
    if not text:
        return in_json(400, {"message": "Cannot send an empty message", "code": 50006})
    if len(text) > LONGEST_CONTENT:
        return in_json(400, {"message": "Invalid Form Body", "code": 50035})
    return None


def is_object(sent: Any) -> bool:
    return isinstance(sent, dict)


def apply_fault(fault: Fault | None, answer: Answer) -> Answer:
    match fault:
        case Fault(kind="timeout_after"):
            return replace(answer, lost="timeout")
        case Fault(kind="500_after"):
            return Answer(500)
        case Fault(kind="latency"):
            return replace(answer, delay=fault.seconds)
        case _:
            return answer
