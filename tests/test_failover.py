"""A database that answers and takes no writes: a primary that was made read-only, a standby, and
the other server that is promoted behind the same address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard.data.database import Unavailable
from db import migrate
from db.outages import Outage
from db.session import connect
from tests.databases import Postgres, copy_to_standby, execute, open_folder, take_writes
from tests.pages import fresh as fresh
from tests.pooler import pooling
from tests.processes import Processes, free_port, started_in, wait_until
from tests.reach import EVERYTHING, Reach, reaching
from tests.test_processes import deliver

READ_ONLY = Outage.READ_ONLY.value


def count_events(postgres: Postgres) -> int:
    return int(execute(postgres.server.url, "select count(*) from webhook_events"))


class Pair:
    """Two servers, and an address that leads to one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, folder / "address"
        self.primary = Postgres(folder / "a")
        self.primary.start()
        self.lead_to(self.primary)
        self.url = self.primary.server.url.set(query={"host": str(self.address)})
        engine = connect(self.url, "tests")
        migrate.upgrade(engine)
        engine.dispose()
        self.standby = copy_to_standby(self.primary, folder / "b")
        self.standby.start()

    def lead_to(self, postgres: Postgres) -> None:
        """Connections that are open stay where they are."""
        self.address.unlink(missing_ok=True)
        self.address.symlink_to(postgres.server.sockets)

    def catch_up(self) -> None:
        written = execute(self.primary.server.url, "select pg_current_wal_lsn()")
        wait_until(
            lambda: execute(
                self.standby.server.url, f"select pg_last_wal_replay_lsn() >= '{written}'"
            ),
            "the standby has all of it",
        )

    def promote(self) -> None:
        if self.primary.process.poll() is None:
            self.catch_up()
        execute(self.standby.server.url, "select pg_promote()")
        self.lead_to(self.standby)

    def drop(self) -> None:
        self.standby.drop()
        self.primary.drop()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with open_folder() as folder:
        pair = Pair(folder)
        yield pair
        pair.drop()


@pytest.fixture
def reach(pair: Pair) -> Iterator[Reach]:
    with reaching(pair.url) as reach:
        assert reach.serves() == EVERYTHING
        yield reach


@pytest.fixture
def pooled(pair: Pair) -> Iterator[Reach]:
    """Through a pooler in transaction mode."""
    server = replace(pair.primary.server, sockets=pair.address)
    with pooling(pair.folder, server) as pooler, reaching(pooler.url("churn")) as reach:
        assert reach.serves() == EVERYTHING
        yield reach


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with started_in(tmp_path) as processes:
        yield processes


def assert_nothing_is_served(reach: Reach, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert reach.serves() == set()
    assert reach.deliver() == (503, READ_ONLY)
    assert reach.get("/readyz") == (503, READ_ONLY)
    assert reach.get("/stats/summary") == (503, READ_ONLY)
    assert reach.read() is reach.write() is Unavailable.AWAY
    assert f"beat: {READ_ONLY}; trying again in a minute" in caplog.text


def test_a_primary_that_takes_no_writes_serves_nobody_until_it_or_another_one_does(
    pair: Pair, reach: Reach, caplog: pytest.LogCaptureFixture
) -> None:
    take_writes(pair.primary.server.url, False)
    assert_nothing_is_served(reach, caplog)
    assert count_events(pair.primary) == 1
    take_writes(pair.primary.server.url, True)
    assert reach.serves() == EVERYTHING
    assert count_events(pair.primary) == 2
    # The worst case of a failover: every connection leads to the old primary, which goes on
    # answering.
    take_writes(pair.primary.server.url, False)
    pair.promote()
    assert reach.serves() == EVERYTHING
    assert reach.read() == count_events(pair.standby) == 3
    assert count_events(pair.primary) == 2


def test_an_address_that_leads_to_the_standby_serves_nobody_until_it_is_promoted(
    pair: Pair, reach: Reach, pooled: Reach, caplog: pytest.LogCaptureFixture
) -> None:
    pair.catch_up()
    pair.lead_to(pair.standby)
    # So that every connection is made anew, the pooler's as well.
    pair.primary.drop()
    for each in (reach, pooled):
        caplog.clear()
        assert_nothing_is_served(each, caplog)
    pair.promote()
    assert reach.serves() == pooled.serves() == EVERYTHING
    assert count_events(pair.standby) == 4


def test_the_processes_come_through_a_failover_without_a_restart(
    pair: Pair, processes: Processes
) -> None:
    database: dict[str, Any] = {"DATABASE_URL": pair.url.render_as_string()}
    url = f"http://127.0.0.1:{free_port()}"
    receiver = processes.start_receiver(int(url.rpartition(":")[2]), **database)
    daemon = processes.start(
        "-m", "tests.hurried", **database, WHOP_API_KEY="k", RETRY_INTERVAL_MINUTES="1"
    )
    wait_until(partial(daemon.says, "cycle:"), "the daemon works")
    assert deliver(url) == 200
    take_writes(pair.primary.server.url, False)
    assert deliver(url) == 503
    ready = httpx.get(f"{url}/readyz", timeout=30)
    assert (ready.status_code, ready.json()) == (503, {"detail": READ_ONLY})
    wait_until(partial(daemon.says, f"run_cycle: {READ_ONLY}"), "the daemon says that it waits")
    pair.promote()
    assert deliver(url) == 200
    assert httpx.get(f"{url}/readyz", timeout=30).status_code == 200
    cycles = daemon.said.count("cycle: ")
    wait_until(lambda: daemon.said.count("cycle: ") > cycles, "the daemon works again")
    assert count_events(pair.standby) == 2
    assert receiver.runs
    assert daemon.runs
