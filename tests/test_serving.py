"""What the dashboard's server says around its pages, over HTTP and by the start command agreed."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.door import SIGNED_IN, settings_for, start
from tests.processes import free_port, started_in, wait_until_it_answers

pytestmark = pytest.mark.slow

NEVER_KEPT = "private, no-store"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with started_in(tmp_path_factory.mktemp("dashboard")) as processes:
        port = free_port()
        sites = "https://whop.com  https://*.whop.com"
        process = start(processes, port, **settings_for(port), FRAME_ANCESTORS=sites)
        wait_until_it_answers(process, f"http://127.0.0.1:{port}/_stcore/health")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=SIGNED_IN) as client:
            yield client


@pytest.mark.parametrize("path", ["/", "/payments?payment=pay_1", "/nowhere", "/_stcore/health"])
def test_every_answer_says_who_may_frame_it_and_keeps_its_address(
    dashboard: httpx.Client, path: str
) -> None:
    answer = dashboard.get(path)
    assert answer.status_code == 200
    allowed = "frame-ancestors 'self' https://whop.com https://*.whop.com"
    assert answer.headers["content-security-policy"] == allowed
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"


def find_asset(dashboard: httpx.Client, ending: str) -> str:
    page = dashboard.get("/").text
    found = re.search(rf'"\.(/static/[^"]+\.{ending})"', page)
    assert found is not None
    return found[1]


def ask_raw(dashboard: httpx.Client, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    with dashboard.stream("GET", path, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("ending", ["js", "css"])
def test_the_page_s_files_are_sent_compressed_and_are_the_same(
    dashboard: httpx.Client, ending: str
) -> None:
    path = find_asset(dashboard, ending)
    plain, whole = ask_raw(dashboard, path, **{"accept-encoding": "identity"})
    answer, sent = ask_raw(dashboard, path, **{"accept-encoding": "gzip, deflate, br"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(sent) == whole
    assert len(sent) < len(whole) / 2
    for same in ("content-type", "cache-control", "content-security-policy"):
        assert answer.headers[same] == plain.headers[same]
    assert answer.headers["vary"] == "accept-encoding"


def test_a_part_of_a_file_is_sent_as_it_is(dashboard: httpx.Client) -> None:
    path = find_asset(dashboard, "js")
    _, whole = ask_raw(dashboard, path, **{"accept-encoding": "identity"})
    answer, sent = ask_raw(dashboard, path, **{"accept-encoding": "gzip", "range": "bytes=5-9"})
    assert (answer.status_code, sent) == (206, whole[5:10])


@pytest.mark.parametrize(
    "path",
    [
        *["/", "/payments?payment=pay_1", "/favicon.png", "/manifest.json", "/media/no.csv"],
        *["/static/js/no.12345678.js", "/component/no/index.html", "/_stcore/host-config"],
        "/_stcore/health",
    ],
)
def test_nothing_but_files_that_never_change_may_be_kept(
    dashboard: httpx.Client, path: str
) -> None:
    assert dashboard.get(path).headers["cache-control"] == NEVER_KEPT
    assert dashboard.options(path).headers["cache-control"] == NEVER_KEPT
    asset = find_asset(dashboard, "js")
    assert "immutable" in dashboard.get(asset).headers["cache-control"]
    assert "immutable" in dashboard.head(asset).headers["cache-control"]
    assert dashboard.post(asset).headers["cache-control"] == NEVER_KEPT


def test_a_browser_that_asks_whether_a_file_has_changed_keeps_it(dashboard: httpx.Client) -> None:
    path = find_asset(dashboard, "js")
    tag = ask_raw(dashboard, path, **{"accept-encoding": "identity"})[0].headers["etag"]
    plain = {"accept-encoding": "identity", "if-none-match": tag}
    answer = dashboard.get(path, headers=plain)
    assert answer.status_code == 304
    assert NEVER_KEPT not in answer.headers.get("cache-control", "")


@pytest.mark.parametrize("wrong", ["*", "https://a.example; script-src *", "a.example", "'none'"])
def test_what_is_no_site_stops_the_dashboard_at_its_start(tmp_path: Path, wrong: str) -> None:
    with started_in(tmp_path) as processes:
        port = free_port()
        process = start(processes, port, **settings_for(port), FRAME_ANCESTORS=wrong)
        assert process.wait() == 2
        assert "FRAME_ANCESTORS: sites with spaces between" in process.said


def test_nobody_else_may_frame_it_unless_an_operator_says_so(tmp_path: Path) -> None:
    with started_in(tmp_path) as processes:
        port = free_port()
        process = start(processes, port, **settings_for(port))
        wait_until_it_answers(process, f"http://127.0.0.1:{port}/_stcore/health")
        answer = httpx.get(f"http://127.0.0.1:{port}/", headers=SIGNED_IN)
        assert answer.headers["content-security-policy"] == "frame-ancestors 'self'"
