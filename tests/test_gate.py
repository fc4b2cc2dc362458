"""The lock of the dashboard: who is let in, from where, over HTTP and over WebSockets."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from dashboard.gate import HEALTH, UPLOADS
from tests.chromium import wait_for_page
from tests.databases import Postgres
from tests.door import (
    HEADER,
    METHODS,
    NOWHERE,
    PERSON,
    SIGNED_IN,
    TRICKS,
    settings_for,
    signing_in,
    start,
)
from tests.processes import (
    ROOT,
    Process,
    Processes,
    free_port,
    started_in,
    wait_until_it_answers,
)

UPLOAD_PATHS = (
    "/_stcore/upload_file",
    "/_stcore/upload_file/",
    "/_stcore/upload_file/a/b",
    "//_stcore/upload_file/a/b",
    "/_stcore/%75pload_file/a/b",
    "/_STCORE/UPLOAD_FILE/a/b",
    "/payments/_stcore/upload_file/a/b",
)
OPENED = "[data-testid=stApp]"


@dataclass
class Running:
    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, target: str, **headers: str) -> http.client.HTTPResponse:
        """With the target as it is: no client tidies it up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, target, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.said = answer.read()  # type: ignore[attr-defined]
        connection.close()
        return answer

    def connect(self, *headers: tuple[str, str], origin: str | None = "own") -> ClientConnection:
        address = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        origin = self.url if origin == "own" else origin
        return connect(address, origin=origin, additional_headers=headers)  # type: ignore[arg-type]

    def opens(self, *headers: tuple[str, str], origin: str | None = "own") -> bool:
        """A socket. One that is refused is so before the handshake is answered."""
        try:
            with self.connect(*headers, origin=origin):
                return True
        except InvalidStatus:
            return False


def run(processes: Processes, **settings: str) -> Running:
    port = free_port()
    given = {"FRONTEND_URL": f"http://127.0.0.1:{port}", "DATABASE_URL": NOWHERE} | settings
    process = start(processes, port, **given)
    wait_until_it_answers(process, f"http://127.0.0.1:{port}{HEALTH}")
    return Running(process, port)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Its host has uvicorn believe everybody's X-Forwarded-For, as some do."""
    with started_in(tmp_path_factory.mktemp("production")) as processes:
        yield run(processes, TRUSTED_USER_HEADER=HEADER, FORWARDED_ALLOW_IPS="*")


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Whatever Streamlit's server answers, in the version installed."""
    with started_in(tmp_path_factory.mktemp("routes")) as processes:
        listed = processes.start(
            "-m", "tests.list_routes", cwd=ROOT / "dashboard", **settings_for(1)
        )
        assert listed.wait() == 0
        found: list[dict[str, Any]] = json.loads(listed.said.partition("ROUTES ")[2])
        return found


# --- starting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["module", "script"])
def test_without_a_door_the_dashboard_ends_and_says_what_to_set(tmp_path: Path, asked: str) -> None:
    with started_in(tmp_path) as processes:
        port = free_port()
        settings: dict[str, Any] = settings_for(port) | {"TRUSTED_USER_HEADER": ""}
        if asked == "module":
            process = start(processes, port, **settings)
        else:
            script = str(Path(sys.executable).with_name("streamlit"))
            entry = str(ROOT / "dashboard" / "app.py")
            process = processes.start(script, "run", entry, "--server.port", str(port), **settings)
        assert process.wait() == 2
    assert process.said.count("production needs TRUSTED_USER_HEADER, the header in which") == 1
    assert "DASHBOARD_WITHOUT_SIGN_IN=true" in process.said
    assert "Traceback" not in process.said


def test_in_production_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with started_in(tmp_path) as processes:
        process = start(processes, free_port())
        assert process.wait() == 2
    for name in ("DATABASE_URL: missing", "FRONTEND_URL: missing", "TRUSTED_USER_HEADER"):
        assert name in process.said


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"DASHBOARD_WITHOUT_SIGN_IN": "true"}, "TRUSTED_USER_HEADER or DASHBOARD_WITHOUT_SIGN_IN"),
        ({"TRUSTED_USER_HEADER": "X Forwarded"}, "TRUSTED_USER_HEADER: the name of one header"),
        ({"TRUSTED_USER_HEADER": "Host"}, "TRUSTED_USER_HEADER: a header that only your proxy"),
        ({"FRONTEND_URL": "dashboard.example.com"}, "FRONTEND_URL: an address such as https://"),
    ],
    ids=["both", "no name", "everybody's", "no address"],
)
def test_a_door_that_would_not_close_is_refused_at_the_start(
    tmp_path: Path, wrong: dict[str, str], says: str
) -> None:
    with started_in(tmp_path) as processes:
        port = free_port()
        process = start(processes, port, **settings_for(port) | wrong)
        assert process.wait() == 2
    assert says in process.said


# --- strangers ---------------------------------------------------------------------------------


def flatten(routes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for route in routes:
        yield route
        yield from flatten(route["inner"])


def test_the_routes_are_those_of_streamlit_s_server(routes: list[dict[str, Any]]) -> None:
    paths = {route["path"] for route in flatten(routes)}
    assert {HEALTH, "/_stcore/stream", "/_stcore/metrics", "/media/a", "/"} <= paths
    assert any(path.startswith(UPLOADS) for path in paths)
    assert len(paths) >= 12


def test_a_stranger_is_refused_at_every_route_with_every_method(
    production: Running, routes: list[dict[str, Any]]
) -> None:
    static = "/static/js/index.js"
    paths = [route["path"] for route in flatten(routes)]
    pages = ["/payments", "/payments?payment=pay_1", "/insights", "/messages", "/settings"]
    for path in [*dict.fromkeys(paths), *pages, static, *TRICKS]:
        for method in METHODS:
            answer = production.ask(method, path)
            if path == HEALTH and method in {"GET", "HEAD"}:
                continue
            expected = 404 if UPLOADS in path else 401
            # What is no HTTP at all does not get as far as the gate.
            allowed = {expected, 400} if not path.startswith("/") else {expected}
            assert answer.status in allowed, (method, path, answer.status)
            assert answer.getheader("set-cookie") is None
            assert len(answer.said) < 100, (method, path)  # type: ignore[attr-defined]
            if answer.status == expected:
                assert answer.getheader("cache-control") == "private, no-store"
                assert answer.getheader("content-security-policy") == "frame-ancestors 'self'"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stranger_may_ask_whether_it_runs_and_learns_nothing_else(
    production: Running, method: str
) -> None:
    headers = {"Host": "10.0.0.7:3000", "Origin": "https://evil.example", "Cookie": "a=b"}
    answer = production.ask(method, f"{HEALTH}?x=1", **headers)
    assert answer.status == 200
    assert answer.said == (b"ok" if method == "GET" else b"")  # type: ignore[attr-defined]
    told = {name.lower() for name, _ in answer.getheaders()}
    assert not told & {"set-cookie", "access-control-allow-origin", "etag", "last-modified"}


def test_what_is_no_http_at_all_gets_no_further(production: Running) -> None:
    for method in ("BREW", "get", "PRI"):
        assert production.ask(method, HEALTH, **SIGNED_IN).status in {400, 404, 405}
        assert production.ask(method, "/").status in {400, 401}


def test_a_stranger_s_socket_is_refused_whatever_it_claims(production: Running) -> None:
    empty = (HEADER, ""), (HEADER, " "), ("X-Forwarded-User", PERSON), ("Cookie", "a=b")
    named = (HEADER, PERSON)
    assert not any(production.opens(one) for one in empty)
    assert not production.opens()
    assert not production.opens(named, named)
    assert not production.opens(named, (HEADER.lower(), "another@example.com"))
    assert not production.opens(("X-Forwarded-For", "10.0.0.1"))


def test_a_header_that_is_empty_or_sent_twice_opens_nothing(production: Running) -> None:
    for value in ("", " ", "\t"):
        assert production.ask("GET", "/", **{HEADER: value}).status == 401
    twice = httpx.get(production.url, headers=[(HEADER, PERSON), (HEADER, PERSON)])
    assert twice.status_code == 401


def test_what_x_forwarded_for_says_neither_opens_nor_closes(production: Running) -> None:
    for claimed in ("8.8.8.8", "8.8.8.8:443", "127.0.0.1", "10.0.0.1, 8.8.8.8"):
        forwarded = {"X-Forwarded-For": claimed}
        assert production.ask("GET", "/", **forwarded).status == 401
        assert production.ask("GET", "/", **SIGNED_IN, **forwarded).status == 200
        assert production.opens((HEADER, PERSON), ("X-Forwarded-For", claimed))


@pytest.mark.parametrize("path", UPLOAD_PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_nobody_can_upload_not_even_who_is_signed_in(
    production: Running, path: str, method: str
) -> None:
    assert production.ask(method, path, **SIGNED_IN).status == 404


# --- other sites -------------------------------------------------------------------------------


def foreign_origins(running: Running) -> list[str]:
    return [
        "https://evil.example",
        f"https://127.0.0.1:{running.port}",
        f"http://localhost:{running.port}",
        "http://localhost",
        "http://127.0.0.1",
        f"http://127.0.0.1:{running.port}.evil.example",
        f"http://127.0.0.1:{running.port}/",
        "null",
        "",
    ]


def test_a_socket_opens_for_the_site_s_own_pages_only(production: Running) -> None:
    named = (HEADER, PERSON)
    for origin in foreign_origins(production):
        assert not production.opens(named, ("Origin", origin), origin=None), origin
    assert not production.opens(named, origin=None)
    assert not production.opens(named, ("Origin", "https://evil.example"))
    assert production.opens(named)
    # Streamlit has seen none of these: it would have asked the internet for its own address.
    assert "disallowed Origin" not in production.process.said


@pytest.mark.parametrize("method", METHODS)
def test_another_site_s_page_can_ask_for_nothing(production: Running, method: str) -> None:
    for origin in foreign_origins(production):
        headers = {**SIGNED_IN, "Origin": origin}
        assert production.ask(method, "/_stcore/host-config", **headers).status == 403
    own = {**SIGNED_IN, "Origin": production.url}
    assert production.ask(method, "/_stcore/host-config", **own).status != 403


@pytest.mark.parametrize(
    "host",
    [
        "rebind.evil.example",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:1@evil.example",
        "",
    ],
)
def test_a_name_that_is_not_the_dashboard_s_is_refused(production: Running, host: str) -> None:
    assert production.ask("GET", "/", **SIGNED_IN, Host=host).status == 400
    same = {"Host": host, "Origin": f"http://{host}", "Upgrade": "websocket"}
    handshake = {"Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    answer = production.ask("GET", "/_stcore/stream", **SIGNED_IN, **same, **handshake, **key)
    assert answer.status in {400, 403}


def test_too_large_a_message_ends_the_socket(production: Running) -> None:
    with production.connect((HEADER, PERSON)) as socket:
        socket.send(BackMsg(debug_disconnect_websocket=True).SerializeToString())
        socket.send(b"\0" * 2**21)
        with pytest.raises(ConnectionClosedError):
            list(socket)
        assert socket.close_code == 1009


# --- other ways to run -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started_in(tmp_path_factory.mktemp("development")) as processes:
        yield run(processes, ENVIRONMENT="development", FRONTEND_URL="")


def test_in_development_this_machine_s_own_names_lead_in_and_no_others(
    development: Running,
) -> None:
    port = development.port
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:8080", "localhost"):
        assert development.ask("GET", "/", Host=host).status == 200, host
        own, other = f"http://{host}", "http://localhost:1"
        assert development.ask("GET", "/", Host=host, Origin=own).status == 200
        assert development.ask("GET", "/", Host=host, Origin=other).status == 403
    for host in ("rebind.evil.example", "localhost.evil.example", "10.0.0.7", ""):
        assert development.ask("GET", "/", Host=host).status == 400, host
    assert development.opens(origin=None)
    assert not development.opens(origin="https://evil.example")
    assert development.ask("PUT", "/_stcore/upload_file/a/b").status == 404


def test_in_development_it_listens_on_this_machine_alone(development: Running) -> None:
    listening = Path("/proc/net/tcp6").read_text() + Path("/proc/net/tcp").read_text()
    local = {line.split()[1] for line in listening.splitlines() if " 0A " in line}
    assert {at for at in local if at.endswith(f":{development.port:04X}")} == {
        f"0100007F:{development.port:04X}"
    }


def test_a_door_can_be_tried_in_development_too(tmp_path: Path) -> None:
    with started_in(tmp_path) as processes:
        running = run(processes, ENVIRONMENT="development", TRUSTED_USER_HEADER=HEADER)
        assert running.ask("GET", "/").status == 401
        assert running.ask("GET", "/", **SIGNED_IN).status == 200


def test_an_operator_may_go_without_a_sign_in_and_other_sites_still_may_not(tmp_path: Path) -> None:
    with started_in(tmp_path) as processes:
        running = run(processes, DASHBOARD_WITHOUT_SIGN_IN="true")
        assert running.ask("GET", "/").status == 200
        assert running.ask("GET", "/", Host="rebind.evil.example").status == 400
        assert running.ask("GET", "/", Origin="https://evil.example").status == 403
        assert not running.opens(origin="https://evil.example")
        assert not running.opens(origin=None)
        assert running.ask("PUT", "/_stcore/upload_file/a/b").status == 404
        assert running.opens()


# --- who is signed in --------------------------------------------------------------------------


@pytest.mark.browser
def test_who_comes_through_the_proxy_sees_the_dashboard_and_who_does_not_sees_why(
    browser: Browser, database: Postgres, records: Session, tmp_path: Path
) -> None:
    port = free_port()
    with started_in(tmp_path) as processes, signing_in(port) as proxy:
        url = database.server.url.render_as_string(hide_password=False)
        door = {"FRONTEND_URL": f"http://127.0.0.1:{proxy}", "TRUSTED_USER_HEADER": HEADER}
        process = start(processes, port, DATABASE_URL=url, **door)
        wait_until_it_answers(process, f"http://127.0.0.1:{port}{HEALTH}")
        page = browser.new_page()
        for path in ("/", "/payments"):
            page.goto(f"http://127.0.0.1:{proxy}{path}")
            wait_for_page(page, path)
        saved = save_list(page)
        kept = httpx.get(f"http://127.0.0.1:{proxy}{saved}")
        assert (kept.status_code, kept.headers["cache-control"]) == (200, "private, no-store")
        assert "Maya Okafor" in kept.text
        assert httpx.get(f"http://127.0.0.1:{port}{saved}").status_code == 401
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_text("Please sign in first.")).to_be_visible()
        assert page.locator(OPENED).count() == 0
        page.close()


def save_list(page: Page) -> str:
    """Where Streamlit keeps the file: at an address without any session."""
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button").first.click()
    path = httpx.URL(download.value.url).path
    assert path.startswith("/media/")
    return path
