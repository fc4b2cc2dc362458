"""Webhook ingest: the receiver compared with pgbench and with a plain endpoint, in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from sqlalchemy import Engine

from bench import scratch
from bench.figures import Target, lay_out, ratio
from bench.load import Load
from bench.payloads import render
from bench.scratch import SECRET, BenchError
from db.embedded import ROOT, Server
from db.session import now

CONNECTIONS = 32
ROUNDS = 3
CASES = {"receiver": "webhook.main:app", "plain FastAPI + ORM": "bench.plain:app"}
OURS, PLAIN = CASES
HEADS = ("", "req/s", "p50 ms", "p99 ms", "of pgbench", "1 conn p50 ms", "p99 ms", "RSS MB")


@dataclass(slots=True)
class Case:
    """One server's figures, one entry per round."""

    busy: list[Load] = field(default_factory=list)
    idle: list[Load] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(load.rate for load in self.busy)

    @property
    def p99(self) -> float:
        return median(load.p99 for load in self.busy)

    def row(self, name: str) -> tuple[str, ...]:
        return (
            name,
            f"{self.rate:,.0f}",
            f"{median(load.p50 for load in self.busy):.1f}",
            f"{self.p99:.1f}",
            f"{median(self.shares):.2f}",
            f"{median(load.p50 for load in self.idle):.2f}",
            f"{median(load.p99 for load in self.idle):.2f}",
            f"{max(self.megabytes):.0f}",
        )


def run(seconds: float) -> list[Target]:
    """Interleaves the cases, with pgbench before and after each, so that other load cancels out."""
    cases, others = {name: Case() for name in CASES}, os.getloadavg()[0]
    with scratch.folder() as home, scratch.postgres(home) as (server, engine):
        commits = [measure_commits(server, engine, home, seconds)]
        for _ in range(ROUNDS):
            for name, app in CASES.items():
                measure(cases[name], app, server, engine, home, seconds)
                commits.append(measure_commits(server, engine, home, seconds))
                around = median(commits[-2:])
                cases[name].shares.append(ratio(cases[name].busy[-1].rate, around))
    report(cases, commits, others)
    return assess(cases)


def assess(cases: dict[str, Case]) -> list[Target]:
    ours, plain = cases[OURS], cases[PLAIN]
    faster = median(ratio(a.rate, b.rate) for a, b in zip(ours.busy, plain.busy, strict=True))
    return [
        Target("receiver, of pgbench's commits", ">=", 0.25, median(ours.shares)),
        Target("receiver, p99", "<=", 50, ours.p99, " ms"),
        Target("receiver, of the plain endpoint", ">=", 5, faster, "x"),
        Target("receiver, memory", "<=", 100, max(ours.megabytes), " MB"),
    ]


def measure_commits(server: Server, engine: Engine, home: Path, seconds: float) -> float:
    scratch.empty(engine)
    return scratch.pgbench(server, home, CONNECTIONS, seconds)


def measure(
    case: Case, app: str, server: Server, engine: Engine, home: Path, seconds: float
) -> None:
    scratch.empty(engine)
    settings = {
        "DATABASE_URL": server.url.render_as_string(hide_password=False),
        "WHOP_WEBHOOK_SECRET": SECRET,
        "API_TOKEN": "not used here",
    }
    mark = f"{len(case.busy)}"
    with scratch.uvicorn(home, app, settings) as (port, pid):
        case.busy.append(put_load(port, CONNECTIONS, seconds, f"b{mark}"))
        case.idle.append(put_load(port, 1, max(seconds / 2, 1), f"i{mark}"))
        case.megabytes.append(scratch.measure_memory(pid))
    check([case.busy[-1], case.idle[-1]], scratch.count_stored(engine))


def put_load(port: int, connections: int, seconds: float, mark: str) -> Load:
    command = [sys.executable, "-m", "bench.load", str(port), str(connections), str(seconds)]
    command += ["--secret", SECRET, "--run", mark]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0 or done.stderr:
        raise BenchError(f"the load generator failed: {done.stderr[-2000:]}")
    return Load(**json.loads(done.stdout))


def check(loads: list[Load], stored: dict[str, int]) -> None:
    """Speed counts only if every answer was a 200 and every 200 is in the database."""
    answered = sum(load.statuses.get("200", 0) for load in loads)
    others = {k: n for load in loads for k, n in load.statuses.items() if k != "200"}
    lost = sum(load.lost for load in loads)
    if others or lost or not answered:
        raise BenchError(f"not only 200s: {others}, {lost} without an answer, {answered} with 200")
    if set(stored.values()) != {answered}:
        raise BenchError(f"{answered} answered with 200, but stored: {stored}")


def report(cases: dict[str, Case], commits: list[float], others: float) -> None:
    size = len(render(1, SECRET, "size", now())[0].split(b"\r\n\r\n", 1)[1])
    print(
        f"Webhook ingest: event and payment per request; {CONNECTIONS} connections, "
        f"signed bodies of {size:,} bytes, fsync on.\nMedians of {ROUNDS} interleaved rounds; "
        "every answer was a 200, and every 200 is in the database.\n"
    )
    rows = [case.row(name) for name, case in cases.items()]
    rows.append(("pgbench, one row a commit", f"{median(commits):,.0f}", *[""] * (len(HEADS) - 2)))
    print("\n".join(lay_out(HEADS, rows)))
    print(
        f"\npgbench ranged {min(commits):,.0f} to {max(commits):,.0f} between the cases. The load "
        f"before the start was {others:.1f} on {os.cpu_count()} cores;\nwhere others use the "
        "machine, a server that is one process loses more by it than pgbench does.\n"
    )
