"""Each process on its own: starting, waiting, stopping, and a database that goes away."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, make_url, text

from daemon.loop import Loop
from daemon.process import Daemon
from daemon.settings import DaemonSettings
from db import embedded
from db.models import Base
from db.session import connect
from tests.databases import Postgres, open_folder
from tests.factories import encode, event, sign
from tests.processes import (
    ROOT,
    SECRET,
    TOKEN,
    Processes,
    Stage,
    free_port,
    stage_in,
    started_in,
    wait_until,
    wait_until_it_answers,
)

pytestmark = pytest.mark.slow

STOPS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with started_in(tmp_path) as processes:
        yield processes


@pytest.fixture(scope="module")
def module_stage(migrated_engine: Engine, tmp_path_factory) -> Iterator[Stage]:
    with stage_in(tmp_path_factory.mktemp("stage"), migrated_engine) as stage:
        yield stage


@pytest.fixture
def stage(module_stage: Stage) -> Iterator[Stage]:
    yield module_stage
    module_stage.clear()


@pytest.fixture
def own_folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def own_postgres(own_folder: Path) -> Iterator[Postgres]:
    """Not running yet."""
    postgres = Postgres(own_folder)
    yield postgres
    if hasattr(postgres, "process"):
        postgres.stop()


@pytest.fixture
def fresh_url(migrated_engine: Engine) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"fresh_{os.getpid()}"
    with migrated_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
        yield migrated_engine.url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"drop database {name} with (force)"))


def status(url: str) -> int:
    return httpx.get(url, timeout=30).status_code


def deliver(url: str) -> int:
    body = encode(event())
    headers = sign(body, datetime.now(UTC), secret=SECRET)
    return httpx.post(f"{url}/webhook/whop", content=body, headers=headers, timeout=60).status_code


# --- starting ----------------------------------------------------------------------------------


def test_the_receiver_and_the_daemon_start_from_the_root_and_wait_for_the_database(
    processes: Processes, own_postgres: Postgres
):
    database = {"DATABASE_URL": own_postgres.url}
    url = f"http://127.0.0.1:{free_port()}"
    receiver = processes.start(
        *f"-m uvicorn webhook.main:app --port {url.rpartition(':')[2]}".split(),
        cwd=ROOT,
        PYTHONPATH="",
        ENVIRONMENT="production",
        WHOP_WEBHOOK_SECRET=SECRET,
        API_TOKEN=TOKEN,
        EMAIL_ENABLED="false",
        **database,
    )
    daemon = processes.start(
        "-m",
        "daemon",
        cwd=ROOT,
        PYTHONPATH="",
        ENVIRONMENT="production",
        WHOP_API_KEY="k",
        EMAIL_ENABLED="false",
        **database,
    )
    wait_until_it_answers(receiver, f"{url}/healthz")
    assert status(f"{url}/readyz") == 503
    wait_until(lambda: daemon.says("the database does not answer"), "the daemon says it waits")
    own_postgres.start()
    wait_until(lambda: daemon.says("is not migrated"), "the daemon says what is missing")
    assert "not migrated" in httpx.get(f"{url}/readyz").json()["detail"]
    processes.run("-m", "db", "migrate", **database)
    wait_until(lambda: status(f"{url}/readyz") == 200, "the receiver is ready")
    wait_until(lambda: daemon.says("started"), "the daemon has started")
    assert status(f"{url}/healthz") == 200
    assert deliver(url) == 200


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (
            "-m uvicorn webhook.main:app --port 0",
            ["DATABASE_URL", "WHOP_WEBHOOK_SECRET", "API_TOKEN"],
        ),
        ("-m daemon", ["DATABASE_URL", "WHOP_API_KEY"]),
        ("-m db migrate", ["DATABASE_URL"]),
    ],
)
def test_in_production_every_missing_setting_is_named_at_once(
    processes: Processes, command, settings
):
    process = processes.start(*command.split())
    assert process.wait() == 2
    assert [line.strip() for line in process.said.splitlines() if "missing" in line] == [
        f"{name}: missing" for name in settings
    ]
    assert "Traceback" not in process.said


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"RETRY_INTERVAL_MINUTES": "soon", "WHOP_RATE_PER_MINUTE": "0"}, "RETRY_INTERVAL_MINUTES"),
        ({"EMAIL_ENABLED": "true"}, "SENDGRID_API_KEY"),
        ({"DATABASE_URL": "mysql://u:hidden@host/db"}, "DATABASE_URL"),
        ({"DATABASE_URL": "hidden"}, "DATABASE_URL"),
    ],
    ids=["numbers", "mail", "other database", "no address"],
)
def test_a_wrong_setting_is_named_without_a_traceback(processes: Processes, wrong, says):
    usual = {"ENVIRONMENT": "development", "WHOP_API_KEY": "k"}
    process = processes.start("-m", "daemon", **usual | wrong)
    assert process.wait() == 2
    assert all(name in process.said for name in [says, *wrong])
    assert "Traceback" not in process.said
    assert "hidden" not in process.said


def test_hosted_spellings_of_the_database_url_are_understood(
    processes: Processes, database_url: str
):
    def spell(scheme: str) -> str:
        assert database_url.startswith("postgresql+psycopg2://")
        return database_url.replace("postgresql+psycopg2", scheme, 1)

    port = free_port()
    processes.start_receiver(port, DATABASE_URL=spell("postgres"))
    assert status(f"http://127.0.0.1:{port}/readyz") == 200
    processes.run("-m", "db", "migrate", DATABASE_URL=spell("postgresql"))


def test_migrate_goes_up_and_down_and_up_again(processes: Processes, fresh_url: str):
    def tables() -> int:
        engine = connect(make_url(fresh_url), "tests", pool_size=1)
        with engine.connect() as connection:
            query = "select count(*) from information_schema.tables where table_name = any(:names)"
            names = [table.name for table in Base.metadata.sorted_tables]
            found = connection.scalar(text(query), {"names": names})
        engine.dispose()
        return int(found or 0)

    assert tables() == 0
    for arguments, expected in [
        ([], len(Base.metadata.sorted_tables)),
        (["--down", "base"], 0),
        ([], len(Base.metadata.sorted_tables)),
    ]:
        processes.run("-m", "db", "migrate", *arguments, DATABASE_URL=fresh_url)
        assert tables() == expected


# --- living ------------------------------------------------------------------------------------


def test_the_daemon_beats(processes: Processes, engine: Engine, database_url: str):
    daemon = processes.start("-m", "tests.hurried", DATABASE_URL=database_url, WHOP_API_KEY="k")

    def beats() -> int:
        with engine.begin() as connection:
            query = (
                "update heartbeats set beat_at = '2001-01-01', last_cycle_at = '2001-01-01'"
                " where process = 'daemon' and beat_at > '2002-01-01' and last_cycle_at is not null"
            )
            return connection.execute(text(query)).rowcount

    for time in ("first", "second", "third"):
        wait_until(beats, f"it beats for the {time} time")
    assert daemon.runs


def test_a_database_that_is_restarted_stops_neither_receiver_nor_daemon(
    processes: Processes, own_postgres: Postgres
):
    database: dict[str, Any] = {"DATABASE_URL": own_postgres.url}
    own_postgres.start()
    processes.run("-m", "db", "migrate", **database)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    receiver = processes.start_receiver(port, **database)
    daemon = processes.start(
        "-m", "tests.hurried", **database, WHOP_API_KEY="k", RETRY_INTERVAL_MINUTES="1"
    )
    wait_until(lambda: daemon.says("cycle:"), "the daemon works")
    assert deliver(url) == 200
    own_postgres.stop()
    assert deliver(url) == 503
    assert status(f"{url}/readyz") == 503
    assert status(f"{url}/healthz") == 200
    authorization = {"authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{url}/stats/summary", headers=authorization, timeout=30).status_code == 503
    wait_until(lambda: daemon.says("does not answer"), "the daemon has noticed")
    own_postgres.start()
    wait_until(lambda: deliver(url) == 200, "deliveries are taken again")
    assert status(f"{url}/readyz") == 200
    cycles = daemon.said.count("cycle:")
    wait_until(lambda: daemon.says("") and daemon.said.count("cycle:") > cycles, "a cycle more")
    summary = httpx.get(f"{url}/stats/summary", headers=authorization, timeout=30).json()
    assert summary["total_failed"] == 2
    assert receiver.runs


def test_a_database_that_is_restarted_while_a_charge_is_in_hand_loses_none(
    processes: Processes, own_postgres: Postgres, tmp_path: Path
):
    own_postgres.start()
    processes.run("-m", "db", "migrate", DATABASE_URL=own_postgres.url)
    engine = connect(own_postgres.server.url, "tests")
    with stage_in(tmp_path, engine) as stage:
        payment_ids = [stage.fail("insufficient_funds", end) for end in ("paid", "expired_card")]
        stage.make_due(*payment_ids)
        stage.break_down("webhook", "drop", times=None)
        stage.break_down("payments.retry", "latency", seconds=3, times=2)
        daemon = stage.daemon("-m tests.hurried", RETRY_INTERVAL_MINUTES="1")
        for payment_id in payment_ids:
            wait_until(partial(stage.retries, payment_id), "Whop has charged, no answer yet")
        own_postgres.stop()
        own_postgres.start()
        stage.let_leases_lapse()
        wait_until(lambda: stage.row(payment_ids[0]).status == "recovered", "it is made good")
        wait_until(lambda: stage.row(payment_ids[1]).retry_count == 1, "the decline as well")
        assert daemon.runs
        for payment_id in payment_ids:
            assert len(stage.retries(payment_id)) == 1
            assert len(stage.attempts(payment_id)) == 1
    engine.dispose()


@pytest.fixture
def cut_off(tmp_path: Path) -> Iterator[Loop]:
    """The jobs of a daemon whose database is away."""
    settings = DaemonSettings(
        _env_file=None, environment="development", database_url=f"postgresql:///x?host={tmp_path}"
    )
    daemon = Daemon(settings)
    jobs = (daemon.run_cycle, daemon.send_messages, daemon.fulfil_requests, daemon.beat)
    yield Loop(*[(1, job) for job in jobs])
    daemon.engine.dispose()
    daemon.whop.wire.http.close()


def test_a_long_outage_does_not_pile_up_work(cut_off: Loop):
    for _ in range(4):
        cut_off.scheduler.run_all()
    assert len(cut_off.scheduler.jobs) <= 8


def test_an_outage_is_told_in_a_line_per_job(cut_off: Loop, caplog: pytest.LogCaptureFixture):
    cut_off.scheduler.run_all()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 4
    assert "Traceback" not in caplog.text


def test_two_daemons_side_by_side_charge_each_payment_once(stage: Stage):
    ends = ["paid", "insufficient_funds", "paid"] * 10
    payment_ids = [stage.fail("insufficient_funds", end) for end in ends]
    stage.make_due(*payment_ids)
    stage.execute("delete from heartbeats")
    with stage.engine.begin() as connection:
        # Both are held at the first step until both are there, so that they do run side by side.
        connection.execute(text("lock table attempts in access exclusive mode"))
        daemons = [stage.daemon(), stage.daemon()]
        waiting = "select count(*) from pg_stat_activity"
        waiting += " where application_name = 'daemon' and wait_event_type = 'Lock'"
        wait_until(lambda: stage.rows(waiting)[0][0] >= 8, "all their workers wait")
    beats = "select details from heartbeats where details ? 'retried'"
    counts = wait_until(
        lambda: found if len(found := stage.rows(beats)) == 2 else None, "both end their cycle"
    )
    assert all(daemon.runs for daemon in daemons)
    assert sum(count.details["retried"] for count in counts) == 30
    assert all(count.details["retried"] > 0 for count in counts)
    for payment_id, end in zip(payment_ids, ends, strict=True):
        assert [charge["outcome"] for charge in stage.retries(payment_id)] == [end]
        assert len(stage.attempts(payment_id)) == 1
    assert stage.http.get("/sandbox/ledger").json()["paid_twice"] == []


# --- stopping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_a_stop_does_not_wait_for_whop_and_the_next_start_settles(stage: Stage, stop):
    payment_id = stage.fail("insufficient_funds", "paid")
    stage.make_due(payment_id)
    stage.break_down("webhook", "drop", times=None)
    stage.break_down("payments.retry", "latency", seconds=30)
    daemon = stage.daemon()
    wait_until(lambda: stage.retries(payment_id), "Whop has charged, and does not answer")
    daemon.signal(stop)
    assert daemon.wait(seconds=15) == 0  # required: 5; Whop would take 30
    assert [attempt.outcome for attempt in stage.attempts(payment_id)] == ["open"]
    assert stage.row(payment_id).status == "pending_retry"
    stage.let_leases_lapse()
    stage.daemon()
    wait_until(lambda: stage.row(payment_id).status == "recovered", "the next start settles it")
    assert stage.row(payment_id).recovered_by == "retry"
    assert len(stage.retries(payment_id)) == 1


def test_a_daemon_that_waits_for_its_database_can_be_stopped(processes: Processes, tmp_path: Path):
    url = f"postgresql:///churn?host={tmp_path}"
    daemon = processes.start("-m", "daemon", DATABASE_URL=url, WHOP_API_KEY="k")
    wait_until(lambda: daemon.says("does not answer"), "it waits")
    daemon.signal(signal.SIGINT)
    assert daemon.wait(seconds=15) == 0


def test_once_ends_by_itself_when_its_work_is_done(stage: Stage):
    payment_id = stage.fail("insufficient_funds", "paid")
    stage.make_due(payment_id)
    assert stage.daemon("-m daemon once").wait() == 0
    assert stage.row(payment_id).status == "recovered"


def test_what_is_asked_for_at_the_command_line_is_honoured_between_cycles(stage: Stage):
    retry_now = stage.fail("insufficient_funds", "paid")
    stopped = stage.fail("insufficient_funds", "paid")
    daemon = stage.daemon("-m tests.hurried", RETRY_INTERVAL_MINUTES="1440")
    wait_until(lambda: daemon.says("cycle:"), "the first cycle is over")
    for command, payment_id in (("retry-now", retry_now), ("stop", stopped)):
        assert stage.daemon(f"-m daemon {command} {payment_id}").wait() == 0
    wait_until(lambda: stage.row(retry_now).status == "recovered", "the one is charged")
    wait_until(lambda: stage.row(stopped).closed_reason == "stopped", "the other is stopped")
    assert stage.retries(stopped) == []
    assert daemon.said.count("cycle: settled") == 1


def test_asking_about_a_payment_nobody_knows_is_an_error(stage: Stage):
    asked = stage.daemon("-m daemon stop pay_of_nobody")
    assert asked.wait() == 1
    assert "there is no failed payment pay_of_nobody" in asked.said


def test_a_receiver_stops_when_it_is_told_to(processes: Processes, database_url: str):
    port = free_port()
    receiver = processes.start_receiver(port, DATABASE_URL=database_url)
    assert deliver(f"http://127.0.0.1:{port}") == 200
    receiver.signal(signal.SIGTERM)
    assert receiver.wait(seconds=15) in {0, -signal.SIGTERM}  # uvicorn raises it again at the end
    assert "Traceback" not in receiver.said


# --- python -m db serve ------------------------------------------------------------------------

LAST_WORDS = """
import json, os, signal, sys
import psycopg2

def write(line):
    with psycopg2.connect(host=sys.argv[1], user="postgres", dbname="churn") as connection:
        connection.cursor().execute("create table if not exists lines (line text)")
        connection.cursor().execute("insert into lines values (%s)", (line,))
    connection.close()

def stop(number, frame):
    write("stopped")
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
write("started")
print("ready", flush=True)
while True:
    signal.pause()
"""


def read_lines(folder: Path) -> list[str]:
    """Started once more by hand, to look at what is on disk."""
    postgres = Postgres(folder)
    postgres.start()
    try:
        engine = connect(postgres.server.url, "tests", pool_size=1)
        with engine.connect() as connection:
            lines = [line for (line,) in connection.execute(text("select line from lines"))]
        engine.dispose()
        return lines
    finally:
        postgres.stop()


def test_serve_runs_postgres_for_as_long_as_its_command(processes: Processes, own_folder: Path):
    look = "import psycopg2, sys; psycopg2.connect(host=sys.argv[1], user='postgres'); sys.exit(3)"
    run = str(own_folder / "run")
    serve = processes.start("-m", "tests.serve", str(own_folder), sys.executable, "-c", look, run)
    assert serve.wait() == 3
    assert "Postgres has stopped." in serve.said
    assert not embedded.Server(own_folder / "data", own_folder / "run").answers()


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_serve_stops_its_command_first_and_postgres_after_it(
    processes: Processes, own_folder: Path, stop
):
    command = [sys.executable, "-c", LAST_WORDS, str(own_folder / "run")]
    serve = processes.start("-m", "tests.serve", str(own_folder), *command)
    wait_until(lambda: serve.says("ready"), "its command runs")
    serve.signal(stop)
    assert serve.wait() == 0
    assert not embedded.Server(own_folder / "data", own_folder / "run").answers()
    assert read_lines(own_folder) == ["started", "stopped"]


def test_postgres_outlives_serve_neither_when_it_is_killed_nor_when_it_is_stopped(
    processes: Processes, own_folder: Path
):
    server = embedded.Server(own_folder / "data", own_folder / "run")
    serve = processes.start("-m", "tests.serve", str(own_folder))
    wait_until(lambda: serve.says("Postgres is running"), "it serves")
    assert server.answers()
    serve.kill()
    wait_until(lambda: not (own_folder / "data" / "postmaster.pid").exists(), "Postgres is gone")
    assert not server.answers()
    again = processes.start("-m", "tests.serve", str(own_folder))
    wait_until(lambda: again.says("Postgres is running"), "it serves again")
    again.signal(signal.SIGTERM)
    assert again.wait() == 0
    assert not server.answers()
