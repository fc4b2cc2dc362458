"""The dashboard's process: refreshes per second, and memory with fifty viewers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import scratch
from bench.figures import Target, lay_out, percentile, ratio
from bench.viewers import HEADER, RefreshTimes, origin, watch
from db.embedded import ROOT, Server

BUSY, VIEWERS = 8, 50
BUSY_SECONDS, WARM_UP = 30.0, 3.0
# Seconds between refreshes, as on the page (dashboard/ui/banners.py).
EVERY = 10.0
# Seconds. After this a viewer would think that the page is stuck.
ON_TIME = 1.0
# Share of the time after which the memory has settled: first pages drawn, lazy imports done.
SETTLED = 0.2


@dataclass(frozen=True, slots=True)
class SteadyRun:
    """A run with fifty viewers: seconds of each refresh, and the process's memory over time."""

    refreshes: list[float]
    megabytes: list[float]

    @property
    def share_on_time(self) -> float:
        return ratio(sum(taken <= ON_TIME for taken in self.refreshes), len(self.refreshes))

    @property
    def growth(self) -> float:
        """Megabytes that the process has grown by since it settled."""
        return self.megabytes[-1] - self.megabytes[int(len(self.megabytes) * SETTLED)]


def run(home: Path, server: Server, company_id: str, seconds: float) -> list[Target]:
    """Measures a dashboard that is started as in the Procfile, with the project's configuration."""
    with dashboard(home, server, company_id) as (port, _):
        busy = asyncio.run(watch(port, BUSY, BUSY_SECONDS, 0, WARM_UP))
    with dashboard(home, server, company_id) as (port, pid):
        steady = asyncio.run(watch_steadily(port, pid, max(seconds, 2 * EVERY)))
    rate = len(busy.refreshes) / BUSY_SECONDS
    report(busy, steady, rate)
    return assess(rate, steady)


async def watch_steadily(port: int, pid: int, seconds: float) -> SteadyRun:
    megabytes: list[float] = []

    async def weigh() -> None:
        while True:
            megabytes.append(await asyncio.to_thread(scratch.measure_memory, pid))
            await asyncio.sleep(EVERY / 2)

    weighing = asyncio.create_task(weigh())
    times = await watch(port, VIEWERS, seconds, EVERY)
    weighing.cancel()
    return SteadyRun(times.refreshes, megabytes)


def assess(rate: float, steady: SteadyRun) -> list[Target]:
    return [
        Target("dashboard, refreshes a second", ">=", 60, rate),
        Target(
            f"dashboard, refreshes of {VIEWERS} viewers on time", ">=", 0.99, steady.share_on_time
        ),
        Target(
            f"dashboard, memory with {VIEWERS} viewers", "<=", 250, max(steady.megabytes), " MB"
        ),
        Target("dashboard, what memory grew by", "<=", 5, steady.growth, " MB"),
    ]


@contextmanager
def dashboard(home: Path, server: Server, company_id: str) -> Iterator[tuple[int, int]]:
    shutil.copytree(ROOT / ".streamlit", home / ".streamlit", dirs_exist_ok=True)
    port = scratch.find_port()
    settings = {
        "FRONTEND_URL": origin(port),
        "TRUSTED_USER_HEADER": HEADER,
        "DATABASE_URL": server.url.render_as_string(hide_password=False),
        "WHOP_COMPANY_ID": company_id,
        "LOG_LEVEL": "WARNING",
    }
    command = ["-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py")]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
    with scratch.python(home, "dashboard", command, settings) as process:
        scratch.wait_for(port, process, home / "dashboard.log")
        yield port, process.pid


def report(busy: RefreshTimes, steady: SteadyRun, rate: float) -> None:
    print("\nThe dashboard: one process, sessions over websockets, on the same database.\n")
    times = sorted(steady.refreshes) or [0.0]
    rows = [
        ("refreshes a second", f"{rate:.1f}, by {BUSY} sessions that ask again at once"),
        ("p50 of these", f"{median(busy.refreshes or [0.0]) * 1000:.0f} ms"),
        (f"with {VIEWERS} viewers", f"{len(times):,} refreshes, each every {EVERY:g} s"),
        ("p50 of these", f"{median(times) * 1000:.0f} ms"),
        ("p99 of these", f"{percentile(times, 99) * 1000:.0f} ms"),
        (f"within {ON_TIME:g} s", f"{steady.share_on_time:.1%}"),
        ("memory, by the way", " ".join(f"{one:.0f}" for one in thin(steady.megabytes)) + " MB"),
    ]
    print("\n".join(lay_out(rows[0], rows[1:])) + "\n")


def thin(values: Sequence[float], wanted: int = 10) -> Sequence[float]:
    """About `wanted` evenly spaced values, always including the last."""
    step = max(len(values) // wanted, 1)
    return values[::-step][::-1]
