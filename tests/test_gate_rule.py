"""The gate's rule on its own: every kind of peer, path, method and address."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from dashboard.gate import HEALTH, Gate, is_near
from dashboard.origins import Site, read_origin
from dashboard.settings import ServerSettings
from tests.door import HEADER, METHODS, PERSON, TRICKS


class Peer:
    """What uvicorn's `receive` belongs to, as far as the gate looks."""

    def __init__(self, address: str) -> None:
        self.transport, self.address = self, address

    def get_extra_info(self, name: str) -> tuple[str, int]:
        assert name == "peername"
        return self.address, 40000

    async def receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}


async def nobody(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "passed"})


def pass_gate(receive: Receive, scope: dict[str, Any], **settings: Any) -> list[Message]:
    values = {"trusted_user_header": HEADER, "frontend_url": "https://own.example"} | settings
    gate = Gate(nobody, ServerSettings(_env_file=None, **values))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    usual = {"type": "http", "method": "GET", "path": "/", "client": ("10.0.0.1", 1)}
    headers = [(b"host", b"own.example"), (HEADER.lower().encode(), PERSON.encode())]
    asyncio.run(gate(usual | {"headers": headers} | scope, receive, send))
    return sent


@pytest.mark.parametrize(
    ("address", "near"),
    [
        *[(one, True) for one in ("127.0.0.1", "::1", "10.1.2.3", "172.17.0.1", "192.168.1.1")],
        *[(one, True) for one in ("fd12:3456::1", "fe80::1%eth0", "::ffff:10.0.0.1")],
        *[(one, False) for one in ("8.8.8.8", "172.32.0.1", "2606:4700::1", "::ffff:8.8.8.8")],
        *[(one, False) for one in ("100.64.0.1", "", "/run/socket", "localhost", "10.0.0.1:80")],
    ],
)
def test_only_this_machine_and_private_networks_are_near(address: str, near: bool) -> None:
    assert is_near(address) is near
    passed = pass_gate(Peer(address).receive, {})
    assert (passed == [{"type": "passed"}]) is near
    without = pass_gate(
        Peer(address).receive, {}, trusted_user_header="", environment="development"
    )
    assert (without == [{"type": "passed"}]) is near


def test_where_nobody_can_tell_who_asks_nobody_is_let_in() -> None:
    async def receive() -> Message:
        raise AssertionError

    (start_, _) = pass_gate(receive, {})
    assert start_["status"] == 401


def test_two_hosts_are_none() -> None:
    named = (HEADER.lower().encode(), PERSON.encode())
    for hosts in ((b"own.example", b"own.example"), (b"own.example", b"evil.example"), ()):
        headers = [named, *[(b"host", host) for host in hosts]]
        (began, _) = pass_gate(Peer("127.0.0.1").receive, {"headers": headers})
        assert began["status"] == 400


def test_nothing_a_stranger_says_reaches_what_answers_about_health() -> None:
    seen: list[Scope] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def never(*_: Message) -> Any:
        raise AssertionError

    settings = ServerSettings(_env_file=None, trusted_user_header=HEADER)
    headers = [(b"origin", b"https://evil.example"), (b"cookie", b"a=b")]
    asked = {"type": "http", "method": "GET", "path": HEALTH, "headers": headers}
    asyncio.run(Gate(look, settings)(asked | {"query_string": b"a=b"}, never, never))
    assert [(scope["headers"], scope["query_string"]) for scope in seen] == [([], b"")]


@given(
    st.text(max_size=30) | st.sampled_from(TRICKS) | st.just(HEALTH),
    st.sampled_from(METHODS) | st.text(max_size=9),
    st.sampled_from(["http", "websocket", "webtransport"]),
)
def test_no_path_and_no_method_passes_without_the_header(path: str, method: str, kind: str) -> None:
    scope = {"type": kind, "path": path, "method": method, "headers": [(b"host", b"own.example")]}
    sent = pass_gate(Peer("127.0.0.1").receive, scope)
    is_health = kind == "http" and path == HEALTH and method in {"GET", "HEAD"}
    assert ({"type": "passed"} in sent) is is_health


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://Dashboard.Example.com", "https://dashboard.example.com"),
        ("https://dashboard.example.com:443/", "https://dashboard.example.com"),
        ("http://dashboard.example.com:80/a?b", "http://dashboard.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_address_is_read_as_browsers_write_it(address: str, origin: str) -> None:
    assert read_origin(address) == origin
    assert Site(origin).find_origin(origin.partition("//")[2]) == origin


@pytest.mark.parametrize(
    "address",
    [
        *["", "dashboard.example.com", "ftp://a.example", "https://", "https://a@b.example"],
        *["https://*", "https://a.example https://b.example", "https://a.example:x"],
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="an address such as"):
        read_origin(address)


@pytest.mark.parametrize(
    "name",
    [
        *["origin", "COOKIE", "user-agent", "Accept", "Accept-Language", "Sec-Fetch-Site"],
        *["X-Forwarded-For", "x-real-ip", "Connection", "Content-Length"],
    ],
)
def test_what_any_browser_or_host_sends_cannot_be_the_header(name: str) -> None:
    with pytest.raises(ValueError, match="only your proxy sends"):
        ServerSettings(_env_file=None, trusted_user_header=name)


@pytest.mark.parametrize(
    "name",
    [
        *["X-Forwarded-Email", "X-Forwarded-User", "X-Auth-Request-Email", "Remote-User"],
        *["Cf-Access-Authenticated-User-Email", "Tailscale-User-Login"],
    ],
)
def test_the_usual_proxies_headers_can_be_named(name: str) -> None:
    settings = ServerSettings(_env_file=None, trusted_user_header=name)
    assert settings.trusted_user_header == name
