"""Retries: two daemons charge due payments as fast as Whop allows, and no faster."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import Popen

import httpx
from sqlalchemy import Engine, text

from bench import scratch
from bench.figures import Target, lay_out, ratio
from bench.scratch import SECRET, BenchError
from db.embedded import Server
from db.session import now, session_factory
from recovery.retrying.context import RetryRules
from sandbox.model.records import Charge, Company
from sandbox.state.ledger import Ledger
from sandbox.state.store import Store
from sandbox.world.world import World
from webhook.group_commit import GroupCommit
from webhook.verification import read_delivery
from whop.payloads import read_event

DUE = 10_000
DAEMONS = 2
ANSWER_SECONDS = 0.3
# Charges per second: Whop allows 600 calls a minute per operation and key.
PERMITTED = 10.0
# The daemons' setting. Ten calls less than allowed, because on a busy machine a call may reach Whop
# up to a second late, in a minute that is already full.
PER_MINUTE = 590
WARM_UP = timedelta(seconds=10)
BATCH = 128
COMPANY, KEY = "biz_bench", "apik_sandbox"
FAILED_AGO = timedelta(hours=2)
SCRIPTS = (("insufficient_funds", "paid"), ("insufficient_funds",), ("generic_decline", "paid"))


@dataclass(frozen=True, slots=True)
class Run:
    """What the simulated Whop counted, and the daemons' memory."""

    seconds: float
    charges: int
    doubled: int
    refused: int
    megabytes: tuple[float, ...]

    @property
    def rate(self) -> float:
        return ratio(self.charges, self.seconds)


def run(seconds: float) -> list[Target]:
    """Counts `seconds` of steady work; 0: until every due payment has been charged."""
    others = os.getloadavg()[0]
    with scratch.folder() as home, scratch.postgres(home) as (server, engine):
        print(f"Making {DUE:,} payments fail…", flush=True)
        prepare(engine, home / "sandbox.sqlite", DUE)
        with simulate(home, server) as url:
            megabytes = work(home, server, engine, url, seconds)
            refused = int(httpx.get(f"{url}/sandbox/limits").raise_for_status().json()["refused"])
        charges = read_retries(home / "sandbox.sqlite")
        check(charges, engine)
    found = summarize(charges, seconds, refused, megabytes)
    report(found, others)
    return assess(found)


def assess(found: Run) -> list[Target]:
    return [
        Target("retries, of Whop's permitted rate", ">=", 0.95, found.rate / PERMITTED),
        Target("retries, 429 provoked", "<=", 0, found.refused),
        Target("retries, payments charged twice", "<=", 0, found.doubled),
        Target("daemon, memory", "<=", 90, max(found.megabytes), " MB"),
    ]


# --- setup -------------------------------------------------------------------------------------


def prepare(engine: Engine, file: Path, count: int) -> None:
    """Makes renewals that failed two hours ago, stored by the receiver's code; all are due."""
    deliveries: list[tuple[str, bytes]] = []

    def collect(headers: dict[str, str], body: bytes) -> int:
        deliveries.append((headers["webhook-id"], body))
        return 200

    failed_at = now() - FAILED_AGO
    store = Store(file)
    world = World(store, company=Company(COMPANY), seed=1, webhook_secret=SECRET, deliver=collect)
    for number in range(count):
        world.fail_renewal(failed_at, script=SCRIPTS[number % len(SCRIPTS)])
    store.close()
    rules = RetryRules(policy="hourly")
    group_commit = GroupCommit(session_factory(engine), rules, read_event, lambda: failed_at)
    for first in range(0, len(deliveries), BATCH):
        batch = deliveries[first : first + BATCH]
        events = [read_delivery(name, body, failed_at, COMPANY) for name, body in batch]
        if any(group_commit.record_all(events)):
            raise BenchError("the receiver's code refused a failure of the simulated Whop")


@contextmanager
def simulate(home: Path, server: Server) -> Iterator[str]:
    """Runs a slow Whop, and a receiver for its webhooks. Yields Whop's URL."""
    receiver = {
        "DATABASE_URL": write_url(server),
        "WHOP_WEBHOOK_SECRET": SECRET,
        "WHOP_COMPANY_ID": COMPANY,
        "API_TOKEN": "not used here",
        "RETRY_POLICY": "hourly",
    }
    port = scratch.find_port()
    url = f"http://127.0.0.1:{port}"
    with scratch.uvicorn(home, "webhook.main:app", receiver) as (receiver_port, _):
        settings = {
            "SANDBOX_PORT": str(port),
            "SANDBOX_FILE": str(home / "sandbox.sqlite"),
            "SANDBOX_FAILURES_PER_MINUTE": "0",
            "WHOP_COMPANY_ID": COMPANY,
            "WHOP_WEBHOOK_SECRET": SECRET,
            "WEBHOOK_URL": f"http://127.0.0.1:{receiver_port}/webhook/whop",
        }
        with scratch.python(home, "sandbox", ["-m", "sandbox"], settings) as process:
            scratch.wait_for(port, process, home / "sandbox.log")
            for operation in ("payments.retrieve", "payments.retry"):
                slow = {"operation": operation, "kind": "latency", "seconds": ANSWER_SECONDS}
                httpx.post(f"{url}/sandbox/faults", json=slow | {"times": None}).raise_for_status()
            yield url


def work(home: Path, server: Server, engine: Engine, url: str, seconds: float) -> tuple[float, ...]:
    """Runs two daemons, started as in the Procfile. Returns the memory of each at the end."""
    settings = {
        "DATABASE_URL": write_url(server),
        "WHOP_API_KEY": KEY,
        "WHOP_API_URL": f"{url}/api/v1",
        "WHOP_RATE_PER_MINUTE": str(PER_MINUTE),
        "RETRY_POLICY": "hourly",
    }
    names = [f"daemon{number}" for number in range(1, DAEMONS + 1)]
    with ExitStack() as stack:
        daemons = {
            name: stack.enter_context(scratch.python(home, name, ["-m", "daemon"], settings))
            for name in names
        }
        least = 1 if seconds else DUE
        wait_while_all_run(home, daemons, lambda: count_concluded(engine) >= least)
        until = time.monotonic() + WARM_UP.total_seconds() + seconds
        wait_while_all_run(home, daemons, lambda: time.monotonic() > until)
        return tuple(scratch.measure_memory(process.pid) for process in daemons.values())


def wait_while_all_run(
    home: Path, daemons: Mapping[str, Popen[bytes]], happened: Callable[[], bool]
) -> None:
    while not happened():
        for name, process in daemons.items():
            if process.poll() is not None:
                output = (home / f"{name}.log").read_text(errors="replace")
                raise BenchError(f"{name} ended:\n{output[-2000:]}")
        time.sleep(0.2)


def write_url(server: Server) -> str:
    return server.url.render_as_string(hide_password=False)


# --- results -----------------------------------------------------------------------------------


def count_concluded(engine: Engine) -> int:
    """Concluded attempts, whatever their outcome."""
    with engine.connect() as connection:
        query = text("select count(*) from attempts where outcome <> 'open'")
        return int(connection.execute(query).scalar_one())


def read_retries(file: Path) -> list[Charge]:
    store = Store(file)
    charges = [charge for charge in Ledger(store).charges() if charge.by == "retry"]
    store.close()
    return charges


def check(charges: Sequence[Charge], engine: Engine) -> None:
    """Raises BenchError unless every charge belongs to an attempt recorded before it."""
    with engine.connect() as connection:
        query = text("select idempotency_key from attempts where sent_at is not null")
        written = set(connection.execute(query).scalars())
    unknown = [charge.payment_id for charge in charges if charge.idempotency_key not in written]
    if unknown or not charges:
        raise BenchError(f"{len(charges)} charges, of which not in our books: {unknown[:5]}")


def summarize(
    charges: Sequence[Charge], seconds: float, refused: int, megabytes: tuple[float, ...]
) -> Run:
    """Counts the steady part only, without the first seconds."""
    times = sorted(charge.at for charge in charges)
    begin = times[0] + (WARM_UP if seconds else timedelta())
    end = begin + timedelta(seconds=seconds) if seconds else times[-1]
    often = Counter(charge.payment_id for charge in charges)
    return Run(
        seconds=(end - begin).total_seconds(),
        charges=sum(begin <= at < end for at in times),
        doubled=sum(number > 1 for number in often.values()),
        refused=refused,
        megabytes=megabytes,
    )


def report(found: Run, others: float) -> None:
    print(
        f"\nRetries: {DUE:,} payments due, {DAEMONS} daemons, Whop answering in "
        f"{ANSWER_SECONDS * 1000:.0f} ms and permitting {PERMITTED * 60:.0f} calls a minute,\n"
        f"WHOP_RATE_PER_MINUTE={PER_MINUTE}, a receiver that hears of every charge, fsync on.\n"
    )
    rows = [
        ("charges counted", f"{found.charges:,} in {found.seconds:.0f} s"),
        ("charges a second", f"{found.rate:.2f} of {PERMITTED:g}"),
        ("429 answered", str(found.refused)),
        ("payments charged twice", str(found.doubled)),
        ("memory of each daemon", ", ".join(f"{size:.0f} MB" for size in found.megabytes)),
    ]
    print("\n".join(lay_out(rows[0], rows[1:])))
    print(f"\nThe load before the start was {others:.1f} on {os.cpu_count()} cores.\n")
