"""Starts what a measurement needs: its own Postgres, pgbench, and servers."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from bench import payloads
from db import embedded, migrate, server_files
from db.models import Base
from db.session import connect, now

SECRET = "ws_a_secret_for_the_bench"
ROWS = "pgbench_rows"
CREATE_ROWS = (
    f"create table {ROWS} (id bigint generated always as identity primary key, payload jsonb)"
)
START_SECONDS = 30


class BenchError(Exception):
    """The run proves nothing; the text says why."""


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder that the user Postgres runs as can read, on disk (/tmp often is not)."""
    path = Path(tempfile.mkdtemp(prefix="churn-bench-", dir=server_files.FALLBACK_ROOT))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def postgres(home: Path) -> Iterator[tuple[embedded.Server, Engine]]:
    """A migrated Postgres with its default settings: fsync on."""
    server = embedded.Server(home / "data", home / "run")
    embedded.initialize(server)
    process = embedded.start(server)
    engine = connect(server.url, "bench")
    try:
        migrate.upgrade(engine)
        with engine.begin() as connection:
            if connection.scalar(text("show fsync")) != "on":
                raise BenchError("this Postgres runs without fsync")
            connection.execute(text(CREATE_ROWS))
        yield server, engine
    finally:
        engine.dispose()
        embedded.stop(process)


def empty(engine: Engine) -> None:
    """Every case starts with empty tables and without the last case's dirty pages."""
    tables = ", ".join([table.name for table in Base.metadata.sorted_tables] + [ROWS])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"truncate {tables} restart identity cascade"))
        connection.execute(text("checkpoint"))


def count_stored(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            table: connection.execute(text(f"select count(*) from {table}")).scalar_one()
            for table in ("webhook_events", "payments")
        }


def pgbench(server: embedded.Server, home: Path, clients: int, seconds: float) -> float:
    """Commits per second; each inserts one row with the same kind of payload."""
    script = home / "insert.sql"
    if not script.exists():
        request = payloads.render(1, SECRET, "pgbench", now())[0]
        payload = request.split(b"\r\n\r\n", 1)[1].decode().replace("'", "''")
        script.write_text(f"insert into {ROWS} (payload) values ('{payload}');\n")
    command = [str(server_files.find_binaries() / "pgbench"), "--no-vacuum"]
    command += [f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={seconds:.0f}"]
    command += [f"--file={script}", f"--host={server.sockets}", f"--username={embedded.SUPERUSER}"]
    done = subprocess.run([*command, embedded.DATABASE], capture_output=True, text=True)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise BenchError(f"pgbench failed: {done.stderr.strip()}")
    return float(found.group(1))


@contextmanager
def uvicorn(home: Path, app: str, settings: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Runs the app as in the Procfile. Yields its port and process id."""
    port = find_port()
    command = ["-m", "uvicorn", app, "--no-access-log"]
    command += ["--app-dir", str(embedded.ROOT), "--port", str(port)]
    with python(home, "server", command, settings) as process:
        wait_for(port, process, home / "server.log")
        yield port, process.pid


@contextmanager
def python(
    home: Path, name: str, command: list[str], settings: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process with only these settings. Its output goes to `name`.log."""
    path = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(embedded.ROOT)}
    with (home / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            # Not in the project, so that a developer's .env is not read.
            cwd=home,
            env=path | settings,
            stdout=output,
            stderr=output,
            preexec_fn=embedded.stop_with_parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def measure_memory(pid: int) -> float:
    """Resident memory in megabytes."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True)
    return int(done.stdout) / 1024
