"""A dashboard as in production, and a proxy before it that signs everybody in."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.processes import ROOT, Process, Processes

HEADER, PERSON = "X-Forwarded-Email", "maya@example.com"
SIGNED_IN = {HEADER: PERSON}
NAMED = f"{HEADER}:".lower().encode()
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
TRICKS = (
    "//",
    "//_stcore/health",
    "/_stcore//health",
    "/_stcore/health/",
    "/_stcore/health/..",
    "/_stcore/health/../metrics",
    "/_stcore/health/../../media/a.csv",
    "/_stcore/health%2f..%2fmetrics",
    "/_stcore/health;/../metrics",
    "/_stcore/health%00",
    "/_stcore/health%20",
    "/_STCORE/HEALTH",
    "/%2f_stcore/health",
    "/x/_stcore/health",
    "/payments/_stcore/health",
    "/_stcore/metrics?/_stcore/health",
    "/%5fstcore/metrics",
    "/./media/a.csv",
    "/static/../media/a.csv",
    "\\_stcore\\health",
    "*",
    "http://127.0.0.1/_stcore/metrics",
    "_stcore/health",
    "/media/%2e%2e/_stcore/health",
)
# Where no page is drawn, nothing is read.
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
COMMAND = f"-m streamlit run {ROOT / 'dashboard' / 'app.py'} --server.port"


def settings_for(port: int) -> dict[str, str]:
    return {
        "DATABASE_URL": NOWHERE,
        "FRONTEND_URL": f"http://127.0.0.1:{port}",
        "TRUSTED_USER_HEADER": HEADER,
    }


def start(processes: Processes, port: int, **settings: Any) -> Process:
    """With these settings and no others."""
    shutil.copytree(ROOT / ".streamlit", processes.folder / ".streamlit", dirs_exist_ok=True)
    return processes.start(*COMMAND.split(), str(port), **settings)


@contextmanager
def signing_in(port: int) -> Iterator[int]:
    """The port of a proxy that names a person in every request, for HTTP and WebSockets, and
    leaves out whatever name the client sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=pass_on, args=(client, port), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def pass_on(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as dashboard, suppress(OSError):
        dashboard.sendall(name_person(read_head(client)))
        threading.Thread(target=copy, args=(client, dashboard), daemon=True).start()
        copy(dashboard, client)


def read_head(client: socket.socket) -> bytes:
    """A request's first line and headers, and what has come of its body."""
    received = b""
    while b"\r\n\r\n" not in received and (more := client.recv(65536)):
        received += more
    return received


def name_person(received: bytes) -> bytes:
    head, _, body = received.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(NAMED)]
    if b"upgrade: websocket" not in head.lower():  # one request for each connection
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        lines.append(b"Connection: close")
    return b"\r\n".join([*lines, f"{HEADER}: {PERSON}".encode(), b"", body])


def copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
        target.shutdown(socket.SHUT_WR)
