"""Runs several trials at once, each in an empty database of a private Postgres."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from db import embedded, migrate
from db.models import Base
from db.session import connect, session_factory
from sandbox.simulate.quick import run_quickly
from sandbox.simulate.schedules import enter_schedules
from sandbox.simulate.trial import Case, Trial, run_trial

# Called after each trial: the trial, its seconds, how many are done, how many there are.
Report = Callable[[Trial, float, int, int], None]

# One per worker process.
engine: Engine


def run_trials(trials: Iterable[Trial], jobs: int, report: Report) -> dict[Trial, list[Case]]:
    """Trials that cannot differ are run only once and share their cases."""
    asked = list(trials)
    needed = list(dict.fromkeys(trial.canonical for trial in asked))
    results = {}
    with (
        scratch_postgres() as server,
        ProcessPoolExecutor(
            jobs, get_context("spawn"), initializer=open_database, initargs=(server.url,)
        ) as pool,
    ):
        running = {pool.submit(run_timed, trial): trial for trial in needed}
        for done in as_completed(running):
            trial = running[done]
            results[trial], seconds = done.result()
            report(trial, seconds, len(results), len(needed))
    return {trial: results[trial.canonical] for trial in asked}


def run_quick_trials(trials: Iterable[Trial], jobs: int) -> dict[Trial, list[Case]]:
    asked = list(trials)
    needed = list(dict.fromkeys(trial.canonical for trial in asked))
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=enter_schedules) as pool:
        results = dict(zip(needed, pool.map(run_quickly, needed, chunksize=8), strict=True))
    return {trial: results[trial.canonical] for trial in asked}


@contextmanager
def scratch_postgres() -> Iterator[embedded.Server]:
    """In a temporary folder that the user Postgres runs as can read."""
    home = Path(tempfile.mkdtemp(prefix="churn-simulate-", dir=embedded.SOCKET_ROOT))
    home.chmod(0o755)
    server = embedded.Server(home / "data", home / "run")
    try:
        embedded.initialize(server, durable=False)
        process = embedded.start(server, "-c", "fsync=off", "-c", "synchronous_commit=off")
        try:
            yield server
        finally:
            embedded.stop(process)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def open_database(url: URL) -> None:
    """Runs in a worker process before its first trial."""
    global engine
    name = f"simulate_{os.getpid()}"
    with connect(url, "simulate").connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text(f"create database {name}"))
    engine = connect(url.set(database=name), "simulate", ask_first=False)
    migrate.upgrade(engine)
    enter_schedules()
    # Many short-lived objects and few reference cycles: this is a tenth faster.
    gc.set_threshold(50_000, 20, 100)


def run_timed(trial: Trial) -> tuple[list[Case], float]:
    started = time.monotonic()
    empty(engine)
    with tempfile.TemporaryDirectory() as folder:
        cases = run_trial(trial, session_factory(engine), Path(folder))
    return cases, time.monotonic() - started


def empty(engine: Engine) -> None:
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with engine.begin() as connection:
        connection.execute(text(f"truncate {tables} restart identity cascade"))
