"""The dashboard's process: how many refreshes a second it makes, and what fifty viewers weigh."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench import scratch
from bench.figures import Target, lay_out, percentile
from bench.viewers import Seen, watch
from db.embedded import ROOT, Server

BUSY, VIEWERS = 8, 50
WARM_UP = 3.0
EVERY = 10.0
"""As the page asks (dashboard/views/overview.py)."""


def run(home: Path, server: Server, company_id: str, seconds: float) -> list[Target]:
    """Started as the Procfile starts it, with the project's own configuration."""
    with dashboard(home, server, company_id) as (port, pid):
        busy = asyncio.run(watch(port, BUSY, seconds, 0, WARM_UP))
    with dashboard(home, server, company_id) as (port, pid):
        calm = asyncio.run(watch(port, VIEWERS, max(seconds, 2 * EVERY), EVERY))
        megabytes = scratch.memory(pid)
    rate = len(busy.refreshes) / seconds
    report(busy, calm, rate, megabytes)
    return judge(rate, megabytes)


def judge(rate: float, megabytes: float) -> list[Target]:
    return [
        Target("dashboard, refreshes a second", ">=", 60, rate),
        Target(f"dashboard, memory with {VIEWERS} viewers", "<=", 250, megabytes, " MB"),
    ]


@contextmanager
def dashboard(home: Path, server: Server, company_id: str) -> Iterator[tuple[int, int]]:
    shutil.copytree(ROOT / ".streamlit", home / ".streamlit", dirs_exist_ok=True)
    settings = {
        "DATABASE_URL": server.url.render_as_string(hide_password=False),
        "WHOP_COMPANY_ID": company_id,
        "LOG_LEVEL": "WARNING",
    }
    port = scratch.find_port()
    command = ["-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py")]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
    with scratch.python(home, "dashboard", command, settings) as process:
        scratch.wait_for(port, process, home / "dashboard.log")
        yield port, process.pid


def report(busy: Seen, calm: Seen, rate: float, megabytes: float) -> None:
    print("\nThe dashboard: one process, sessions over websockets, ten million payments.\n")
    rows = [
        ("refreshes a second", f"{rate:.1f}, by {BUSY} sessions that ask again at once"),
        ("p50 of these", f"{median(busy.refreshes or [0.0]) * 1000:.0f} ms"),
        (f"with {VIEWERS} viewers", f"{len(calm.refreshes)} refreshes, each every {EVERY:g} s"),
        ("p99 of these", f"{percentile(sorted(calm.refreshes) or [0.0], 99) * 1000:.0f} ms"),
        ("memory then", f"{megabytes:.0f} MB"),
    ]
    print("\n".join(lay_out(rows[0], rows[1:])) + "\n")
