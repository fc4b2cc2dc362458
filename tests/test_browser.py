"""What a creator sees, in a real browser: Chromium, Streamlit's server, Postgres."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from db import embedded, migrate
from db.models import Base, Heartbeat
from db.session import connect, now, session_factory
from tests.factories import COMPANY, fail_now

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "test-output"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REFRESHED = 30_000
"""Milliseconds; three refreshes. A limit for waiting, not a claim about speed."""
SCROLLING = """() => [...document.querySelectorAll('*')].filter(
    e => e.scrollWidth > e.clientWidth + 1
        && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
).map(e => e.outerHTML.slice(0, 200))"""
MODULE = [sys.executable, "-m", "streamlit"]
SCRIPT = [str(Path(sys.executable).with_name("streamlit"))]


class Database:
    """A server of its own: these tests stop it."""

    def __init__(self, folder: Path) -> None:
        self.server = embedded.Server(folder / "data", folder / "run")
        embedded.initialize(self.server, durable=False)
        self.start()

    def start(self) -> None:
        self.process = embedded.start(self.server)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    folder = Path(tempfile.mkdtemp(prefix="churn-", dir="/tmp"))
    folder.chmod(0o755)
    database = Database(folder)
    yield database
    database.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def own_engine(database: Database) -> Iterator[Engine]:
    engine = connect(database.server.url, "tests")
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def records(own_engine: Engine) -> Iterator[Session]:
    """One recovered payment's worth of history, and a daemon that ran just now."""
    with session_factory(own_engine)() as session:
        fail_now(session, now(), user={"id": "u1", "name": "Maya Okafor"})
        at = now()
        session.add(
            Heartbeat(process="daemon", instance="a", started_at=at, beat_at=at, last_cycle_at=at)
        )
        session.commit()
        yield session
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with own_engine.begin() as connection:
        connection.execute(text(f"truncate {tables} restart identity cascade"))


@contextmanager
def run_dashboard(database: Database, command: list[str], *options: str) -> Iterator[str]:
    """The address of a dashboard, once it says that it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*command, "run", "dashboard/app.py", "--server.port", str(port), *options],
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": database.server.url.render_as_string(hide_password=False),
            "WHOP_COMPANY_ID": COMPANY,
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            assert any("URL:" in line for line in process.stdout), "the dashboard did not start"
            yield f"http://localhost:{port}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def dashboard(database: Database, own_engine: Engine) -> Iterator[str]:
    with run_dashboard(database, MODULE) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, dashboard: str, records: Session) -> Iterator[Callable[..., Page]]:
    """A page, and at the end the proof that it asked no other machine and met no error."""
    hosts: set[str | None] = set()
    errors: list[str] = []
    pages: list[Page] = []

    def open_page(width: int = 1440, height: int = 900, path: str = "/") -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        pages.append(page)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(dashboard + path)
        expect(page.locator("table.payments")).to_be_visible(timeout=REFRESHED)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert hosts - {"localhost", None} == set()
    assert errors == []


def read_figure(page: Page, label: str) -> str:
    card = page.get_by_test_id("stMetric").filter(has_text=label)
    return card.get_by_test_id("stMetricValue").inner_text()


def take_picture(page: Page, name: str) -> None:
    """The whole page: Streamlit scrolls inside of it, so the window is made as high."""
    expect(page.locator(".js-plotly-plot .barlayer")).to_be_visible()
    height = page.get_by_test_id("stMainBlockContainer").evaluate("e => e.scrollHeight")
    page.set_viewport_size({"width": page.evaluate("innerWidth"), "height": min(height, 5000)})
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / name)


@pytest.mark.parametrize("width", [1440, 390])
def test_it_shows_header_cards_chart_and_table(open_page: Callable[..., Page], width: int) -> None:
    page = open_page(width)
    heading = page.get_by_role("heading", name="💰 Revenue Recovery Dashboard")
    expect(heading).to_be_visible()
    for label in ("$ Recovered This Month", "Recovery Rate %", "Total Failed Payments"):
        expect(page.get_by_test_id("stMetric").filter(has_text=label)).to_be_visible()
    expect(page.locator(".js-plotly-plot .barlayer")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="Maya Okafor")
    for words in ("$49.00", "Insufficient funds", "Retry ", "0"):
        expect(row).to_contain_text(words)
    for name in ("Member", "Amount", "Reason", "Status", "Retries"):
        expect(page.get_by_role("columnheader", name=name)).to_be_attached()
    take_picture(page, f"dashboard-{width}.png")


def test_it_never_scrolls_sideways_on_a_phone(
    open_page: Callable[..., Page], records: Session
) -> None:
    fail_now(
        records,
        now(),
        user={"id": "u2", "name": "A" * 120},
        total={"amount": "123456789012.00", "currency": "usd"},
        usd_total={"amount": "123456789012.00", "currency": "usd"},
        decline_code=None,
        failure_message="W" * 120,
    )
    page = open_page(390, 844)
    expect(page.get_by_role("row").filter(has_text="AAAA")).to_be_visible(timeout=REFRESHED)
    expect(page.locator(".js-plotly-plot .barlayer")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert page.evaluate(SCROLLING) == []
    right = page.evaluate("""() => Math.max(...[...document.querySelectorAll(
        '[data-testid=stMain] :is(p, td, b, span, .risk, h1, h3)'
    )].map(e => e.getBoundingClientRect().right))""")
    assert right <= 390


def test_it_shows_a_new_payment_by_itself_without_moving_the_page(
    open_page: Callable[..., Page], records: Session
) -> None:
    page = open_page(1440, 500)
    main = page.get_by_test_id("stMain")
    expect(page.locator(".js-plotly-plot .barlayer")).to_be_visible()
    page.evaluate("window.stillHere = true")
    main.evaluate("e => e.scrollTo(0, 300)")
    seen = page.locator(".fresh b").inner_text()
    fail_now(records, now(), user={"id": "u2", "name": "Liam Chen"})
    row = page.get_by_role("row").filter(has_text="Liam Chen")
    expect(row).to_be_visible(timeout=REFRESHED)
    assert read_figure(page, "Total Failed Payments") == "2"
    assert page.locator(".fresh b").inner_text() != seen
    assert page.evaluate("window.stillHere") is True
    assert main.evaluate("e => e.scrollTop") == 300


def test_it_keeps_the_reader_s_zoom_through_refreshes_and_new_data(
    open_page: Callable[..., Page], records: Session
) -> None:
    page = open_page(1440, 1400)
    chart = page.locator(".nsewdrag")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + 150, steps=5)
    page.mouse.up()
    whole = page.get_by_role("button", name="Show all")
    expect(whole).to_be_visible(timeout=REFRESHED)
    read = "document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range.join()"
    zoomed = page.evaluate(read)
    fail_now(records, now(), user={"id": "u2", "name": "Liam Chen"})
    expect(page.get_by_text("Liam Chen")).to_be_visible(timeout=REFRESHED)
    expect(page.locator(".key")).to_contain_text("Failed $98.00")
    assert page.evaluate(read) == zoomed
    whole.click()
    expect(whole).to_have_count(0)
    page.wait_for_function(f"zoomed => {read} !== zoomed", arg=zoomed)


def test_it_keeps_the_period_in_the_address(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_text("6 months").click()
    page.wait_for_url("**/?period=6+months")
    again = open_page(path="/?period=6+months")
    chosen = again.get_by_role("radio", name="6 months")
    expect(chosen).to_be_checked()


def test_it_shows_hostile_words_as_they_were_typed(
    open_page: Callable[..., Page], records: Session
) -> None:
    name = "<script>window.taken=1</script>**x** $a$ [x](http://evil.example)"
    reason = "<img src=x onerror='window.taken=1'> no"
    fail_now(
        records,
        now(),
        user={"id": "u2", "name": name},
        decline_code=None,
        failure_message=reason,
    )
    page = open_page()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_be_visible(timeout=REFRESHED)
    expect(row).to_contain_text("onerror='window.taken=1'", ignore_case=True)
    assert row.locator("strong, img, .katex").count() == 0
    assert row.get_by_role("link").evaluate_all("links => links.map(link => link.host)") == [
        page.evaluate("location.host")  # to its story, and nowhere else
    ]
    assert page.evaluate("window.taken") is None


def test_it_says_that_the_database_is_away_and_comes_back_by_itself(
    open_page: Callable[..., Page], database: Database
) -> None:
    page = open_page()
    page.evaluate("window.stillHere = true")
    database.stop()
    try:
        words = page.get_by_text("The database does not answer")
        expect(words).to_be_visible(timeout=REFRESHED)
        expect(page.get_by_test_id("stMetric")).to_have_count(0)
    finally:
        database.start()
    expect(page.locator("table.payments")).to_be_visible(timeout=REFRESHED)
    expect(words).to_have_count(0)
    assert read_figure(page, "Total Failed Payments") == "1"
    assert page.evaluate("window.stillHere") is True


def test_it_also_runs_as_streamlit_s_own_command(
    browser: Browser, database: Database, records: Session
) -> None:
    with run_dashboard(database, SCRIPT) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("table.payments")).to_be_visible(timeout=REFRESHED)
        page.close()
