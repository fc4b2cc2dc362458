"""`python -m tests.forkserver SOCKET PARENT`: starts programs that need not import libraries anew.

Each is a fork of this process, which has imported what others wrote and nothing of the project. Its
arguments, environment, folder and output are its own, and it is a child of the process PARENT,
which kills and awaits it as any other.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

# What takes long to import in every process.
LIBRARIES = (
    *("alembic.command", "cryptography.hazmat.primitives.asymmetric.ec", "email_validator"),
    *("fastapi", "httpx", "jinja2", "orjson", "prometheus_client", "psycopg2.extras"),
    *("pydantic_settings", "schedule", "sendgrid", "sqlalchemy.orm", "uvicorn", "uvloop"),
    "sqlalchemy.dialects.postgresql.psycopg2",
)
ROOT = Path(__file__).resolve().parent.parent
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def call_prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value)


# --- where programs are asked for ----------------------------------------------------------------


@cache
def start_server() -> socket.socket:
    """Serves this process, and ends with it. Orphans come to this process, so that it is the parent
    of what the other forks."""
    call_prctl(PR_SET_CHILD_SUBREAPER, 1)
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forkserver", str(theirs.fileno()), str(os.getpid())],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def stop() -> None:
        ours.close()
        process.wait()

    atexit.register(stop)
    return ours


class Fork:
    """A started program, to be used as `subprocess.Popen`."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str], log: Path):
        asked = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": environment,
            "log": str(log),
        }
        connection = start_server()
        connection.sendall(json.dumps(asked).encode() + b"\n")
        self.pid = int(read_line(connection))
        self.args = arguments
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        ended = os.pidfd_open(self.pid) if self.poll() is None else None
        if ended is not None:
            select.select([ended], [], [], timeout)
            os.close(ended)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            return b""
        line += part
    return line


# --- where they are forked -----------------------------------------------------------------------


def serve(connection: socket.socket, parent: int) -> dict[str, Any]:
    """Returns in the fork, with what it shall be."""
    while line := read_line(connection):
        between = os.fork()
        if between:
            os.waitpid(between, 0)
            continue
        if os.fork():
            os._exit(0)
        while os.getppid() != parent:  # until it is an orphan, and the parent's
            time.sleep(0.001)
        call_prctl(PR_SET_PDEATHSIG, signal.SIGINT)  # also when the tests themselves are killed
        connection.sendall(f"{os.getpid()}\n".encode())
        connection.close()
        asked: dict[str, Any] = json.loads(line)
        return asked
    sys.exit()


def become(asked: dict[str, Any], library_path: list[str]) -> list[str]:
    """Its environment, folder and output. Returns its arguments."""
    log = os.open(asked["log"], os.O_WRONLY)
    for number, opened in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
        os.dup2(opened, number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    extra = [part for part in os.environ.get("PYTHONPATH", "").split(":") if part]
    sys.path[:] = [asked["folder"], *extra, *library_path]
    return list(asked["arguments"])


def main() -> None:
    here = str(ROOT)
    library_path = [part for part in sys.path if part not in ("", here)]
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    connection = socket.socket(fileno=int(sys.argv[1]))
    arguments = become(serve(connection, int(sys.argv[2])), library_path)
    del sys.modules["tests"]
    gc.unfreeze()
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
