"""Requests and answers without HTTP, and Whop's error format."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

from sandbox.model.switches import Fault

Lost = Literal["timeout", "refused"]


def read_query(text: str) -> dict[str, str]:
    """Values of a repeated parameter are joined by commas."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(text):
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


@dataclass(frozen=True)
class Request:
    """Header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def bearer(self) -> str:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class Answer:
    """Answers reach the caller after `delay` seconds, except those that are `lost`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    lost: Lost | None = None


@dataclass
class ApiError(Exception):
    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None

    def answer(self) -> Answer:
        named = {"type": self.type, "message": self.message, "code": self.code, "param": self.param}
        return in_json(self.status, {"error": named})


def in_json(status: int, content: Any) -> Answer:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, {"content-type": "application/json"}, body)


def bad_request(code: str, message: str, param: str | None = None) -> ApiError:
    return ApiError(400, "bad_request", message, code, param)


def lost_before(fault: Fault | None) -> Answer | None:
    """The answer if a fault stops the call before it is served; None: no such fault."""
    match fault:
        case Fault(kind="timeout_before"):
            return Answer(0, lost="timeout")
        case Fault(kind="refused"):
            return Answer(0, lost="refused")
        case _:
            return None
