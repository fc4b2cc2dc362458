"""The dashboard in a real browser: what every such test needs.

The fixtures are there for every test (conftest.py). A file that needs more than one failed payment
has `records` of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dashboard.ui.palette import DARK, LIGHT
from db import embedded, migrate
from db.models import Heartbeat
from db.session import connect, now, session_factory
from tests.factories import COMPANY, fail_now
from tests.processes import ROOT, empty, free_port

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
expect.set_options(timeout=REFRESHED)
MODULE = [sys.executable, "-m", "streamlit"]
SCRIPT = [str(Path(sys.executable).with_name("streamlit"))]
PAGES = {
    "overview": "/",
    "payments": "/payments",
    "insights": "/insights",
    "messages": "/messages",
    "settings": "/settings",
    "health": "/health",
}
DONE_HERE = ".audit-log, .note:has-text('Nothing yet. Whatever is asked for')"
READY = {
    "/": "table.payments",
    "/payments": "table.payments",
    "/insights": "[data-testid=stPlotlyChart] .barlayer",
    "/messages": DONE_HERE,
    "/settings": DONE_HERE,
    "/health": ".checks",
}
"""What a page shows once it is there; its last part where it comes in parts."""
STORY_READY = "ol.timeline"
# On a deep link Streamlit looks for its server beneath the page's path first: two answers of 404.
SEARCH = re.compile(r"/[a-z]+/_stcore/(health|host-config)")
TOO_WIDE = """() => {
    const all = [...document.querySelectorAll('*')]
    const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
        && e.scrollWidth > e.clientWidth + 1
    const parts = 'p, td, b, span, .risk, h1, h2, h3, iframe, input, textarea, button'
    const sticksOut = e => e.matches(`[data-testid=stMain] :is(${parts})`)
        && e.getBoundingClientRect().right > innerWidth
    const found = all.filter(e => scrolls(e) || sticksOut(e)).map(e => e.outerHTML.slice(0, 200))
    return document.scrollingElement.scrollWidth > innerWidth ? ['the page', ...found] : found
}"""

LOOKS = (("light", 1440), ("light", 390), ("dark", 1440), ("dark", 390))
TALLEST = 6000
# Half-way from one colour to another nothing can be read for a moment.
SETTLED = """() => document.querySelector('.stApp').dataset.testScriptState === 'notRunning'
    && document.getAnimations().every(one => one.effect.getComputedTiming().endTime === Infinity)"""

Visit = Callable[..., Page]


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


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    folder = Path(tempfile.mkdtemp(prefix="churn-", dir="/tmp"))
    folder.chmod(0o755)
    database = Database(folder)
    yield database
    database.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def own_engine(database: Database) -> Iterator[Engine]:
    engine = connect(database.server.url, "tests")
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def records(own_engine: Engine) -> Iterator[Session]:
    """One failed payment, and a daemon that ran just now."""
    with session_factory(own_engine)() as session:
        fail_now(session, now(), user={"id": "u1", "name": "Maya Okafor"})
        at = now()
        session.add(
            Heartbeat(process="daemon", instance="a", started_at=at, beat_at=at, last_cycle_at=at)
        )
        session.commit()
        yield session
    empty(own_engine)


@contextmanager
def run_dashboard(
    database: Database, command: list[str] = MODULE, company_id: str = COMPANY
) -> Iterator[str]:
    """The address of a dashboard, once it says that it listens."""
    port = free_port()
    process = subprocess.Popen(
        [*command, "run", "dashboard/app.py", "--server.port", str(port)],
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": database.server.url.render_as_string(hide_password=False),
            "WHOP_COMPANY_ID": company_id,
            "ENVIRONMENT": "development",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=embedded.stop_with_parent,
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
    """One for each file: what it keeps of the figures for minutes is that file's alone."""
    with run_dashboard(database) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole run: while Playwright is there, no other test can have an event loop."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, dashboard: str) -> Iterator[Visit]:
    """Opens a page, and at the end proves that it asked no other machine and met no error."""
    hosts: set[str | None] = set()
    errors: list[str] = []
    pages: list[Page] = []

    def visit(path: str = "/", width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
        size = {"width": width, "height": height}
        page = browser.new_page(viewport=size, color_scheme=scheme)
        pages.append(page)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.on("console", lambda message: errors.extend(read_error(message)))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(dashboard + path)
        wait_for_page(page, path)
        return page

    yield visit
    for page in pages:
        page.close()
    assert hosts - {"localhost", None} == set()
    assert errors == []


def read_error(message: ConsoleMessage) -> list[str]:
    searches = SEARCH.fullmatch(urlsplit(message.location["url"]).path)
    if message.type != "error" or (searches and "404" in message.text):
        return []
    return [f"{message.text} {message.location['url']}"]


def wait_for_page(page: Page, path: str) -> None:
    parts = urlsplit(path)
    ready = STORY_READY if "payment" in parse_qs(parts.query) else READY[parts.path]
    expect(page.locator(ready).first).to_be_visible()


def look(page: Page, scheme: str, width: int) -> None:
    """As the reader's system and window would have it."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    colour = (DARK if scheme == "dark" else LIGHT).page
    red, green, blue = bytes.fromhex(colour[1:])
    painted = f"rgb({red}, {green}, {blue})"
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", painted)
    page.wait_for_function(SETTLED)
    show_whole(page)


def show_whole(page: Page) -> None:
    """Streamlit scrolls inside of the page: what is scrolled away is in no picture, and axe tells
    no contrast of it. So the window is made as high."""
    height = page.get_by_test_id("stMainBlockContainer").evaluate("e => e.scrollHeight")
    width = page.evaluate("innerWidth")
    page.set_viewport_size({"width": width, "height": min(height, TALLEST)})


def take_picture(page: Page, name: str) -> None:
    show_whole(page)
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / name)


def never_scrolls_sideways(page: Page) -> None:
    found = page.evaluate(TOO_WIDE)
    assert found == [], found
