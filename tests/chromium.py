"""The dashboard in a real browser: what the fixtures of browser.py are made of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    TimeoutError,
    expect,
    sync_playwright,
)
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dashboard.ui.palette import DARK, LIGHT
from db import embedded
from db.models import Heartbeat
from db.session import now, session_factory
from tests.databases import Postgres, empty
from tests.factories import COMPANY, fail_now
from tests.processes import ROOT, free_port

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
# Milliseconds; three refreshes. A limit for waiting, not a claim about speed.
REFRESHED = 30_000
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
DONE_HERE = ".audit-log, .note:has-text('No manual actions yet')"
# What a page shows once it is there; its last part where it comes in parts.
READY = {
    "/": "table.payments",
    "/payments": "table.payments",
    "/insights": "[data-testid=stPlotlyChart] .barlayer",
    "/messages": DONE_HERE,
    "/settings": DONE_HERE,
    "/health": ".checks",
}
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

# Streamlit's own timer for `run_every`.
HURRY = """
const setTimer = setInterval
window.setInterval = (run, ms, ...more) => setTimer(run, ms === 10_000 ? SOON : ms, ...more)
"""
LOOKS = (("light", 1440), ("light", 390), ("dark", 1440), ("dark", 390))
TALLEST = 6000
# Half-way from one colour to another nothing can be read for a moment.
SETTLED = """() => document.querySelector('.stApp').dataset.testScriptState === 'notRunning'
    && document.getAnimations().every(one => one.effect.getComputedTiming().endTime === Infinity)"""

Visit = Callable[..., Page]


@contextmanager
def record_one_failure(engine: Engine) -> Iterator[Session]:
    with session_factory(engine)() as session:
        fail_now(session, now(), user={"id": "u1", "name": "Maya Okafor"})
        at = now()
        session.add(
            Heartbeat(process="daemon", instance="a", started_at=at, beat_at=at, last_cycle_at=at)
        )
        session.commit()
        yield session
    empty(engine)


@contextmanager
def run_dashboard(
    database: Postgres, command: list[str] = MODULE, company_id: str = COMPANY
) -> Iterator[str]:
    """The address of a dashboard, once it says that it listens."""
    port = free_port()
    process = subprocess.Popen(
        [*command, "run", "dashboard/app.py", "--server.port", str(port)],
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": database.url,
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


@contextmanager
def launch() -> Iterator[Browser]:
    # Preferred: the same Chromium without windows and menus, which nobody sees here and which take
    # a process of their own.
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert chromium is not None, "no Chromium: apt-get install chromium-headless-shell"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


def open_tab(browser: Browser, refresh_ms: int) -> Page:
    """Its pages refresh themselves so often. All else keeps its time."""
    page = browser.new_page()
    page.add_init_script(HURRY.replace("SOON", str(refresh_ms)))
    return page


@contextmanager
def visiting(tab: Page, dashboard: str, open_another: Callable[[], Page]) -> Iterator[Visit]:
    """`tab` shows the first page that a test visits, others are opened beside it."""
    hosts: set[str | None] = set()
    errors: list[str] = []
    listeners: dict[Any, Callable[[Any], None]] = {
        "request": lambda request: hosts.add(urlsplit(request.url).hostname),
        "console": lambda message: errors.extend(read_error(message)),
        "pageerror": lambda error: errors.append(str(error)),
    }
    pages: list[Page] = []

    def visit(path: str = "/", width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
        page = open_another() if pages else tab
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for event, listener in listeners.items():
            page.on(event, listener)
        page.goto(dashboard + path)
        wait_for_page(page, path)
        return page

    yield visit
    for page in pages[1:]:
        page.close()
    if pages:
        for event, listener in listeners.items():
            tab.remove_listener(event, listener)
        leave(tab, dashboard)
    assert hosts - {"localhost", None} == set()
    assert errors == []


def leave(tab: Page, dashboard: str) -> None:
    """As if nobody had been there: for the next test."""
    tab.goto(f"{dashboard}/_stcore/health")
    tab.evaluate("localStorage.clear(), sessionStorage.clear()")
    tab.context.clear_cookies()
    tab.mouse.move(0, 0)


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
    """Once it has come to rest: a chart is drawn anew some moments after its window has changed."""
    with suppress(TimeoutError):
        page.wait_for_function(f"() => ({TOO_WIDE})().length === 0", timeout=REFRESHED)
    found = page.evaluate(TOO_WIDE)
    assert found == [], found
