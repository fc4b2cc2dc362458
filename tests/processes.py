"""Real processes for tests: an environment of their own, killed at the end, their words kept.

Waiting is in one place: `wait_until`. Nothing here sleeps for a fixed time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, text

from db import embedded
from db.company_settings.messaging import MessagingSettings, save_messaging_settings
from db.session import now, session_factory
from tests import forkserver
from tests.databases import empty

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 45.0
PAUSE_SECONDS = 0.03
SECRET, TOKEN, COMPANY = "ws_sandbox_secret", "t0ken", "biz_demo"
LINK_SECRET = "a secret of the links in tests, long enough"
LEFT_ALONE = threading.Event()  # never set: only its wait is used


def wait_until(happened: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Returns the first true answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := happened():
            return answer
        LEFT_ALONE.wait(PAUSE_SECONDS)
    raise AssertionError(f"it never happened within {seconds:.0f} s: {what}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Process:
    """One Python process. What it says is in `log`."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str], cwd: Path):
        self.name, self.shown = " ".join(arguments), 0
        self.log = folder / f"{time.monotonic_ns()}.log"
        clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        self.popen: forkserver.Fork | subprocess.Popen[bytes]
        with self.log.open("wb") as output:
            if arguments[0] == "-m" and sys.platform == "linux":
                self.popen = forkserver.Fork(arguments[1:], cwd, clean | environment, self.log)
                return
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=cwd,
                env=clean | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=embedded.stop_with_parent,  # also when the tests themselves are killed
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        return self.popen.poll() is None

    def says(self, words: str) -> bool:
        assert self.runs, f"{self.name} ended before it said {words!r}:\n{self.said}"
        return words in self.said

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Its exit code; minus the signal that killed it."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended:\n{self.said}") from None

    def kill(self) -> None:
        """kill -9: nothing it might still have wanted to do is done."""
        if self.runs:
            self.signal(signal.SIGKILL)
        self.popen.wait()

    def show(self) -> None:
        """What is new since the last time; pytest prints it when the test has failed."""
        said = self.said
        sys.stdout.write(f"--- {self.name}\n{said[self.shown :]}\n")
        self.shown = len(said)


class Processes:
    """Those of one test or module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Process] = []

    def start(self, *arguments: str, cwd: Path | None = None, **environment: Any) -> Process:
        """Elsewhere than in the project, so that no developer's `.env` is read."""
        environment.setdefault("PYTHONPATH", str(ROOT))
        process = Process(list(arguments), self.folder, environment, cwd or self.folder)
        self.all.append(process)
        return process

    def run(self, *arguments: str, **environment: Any) -> Process:
        """One that ends by itself, without an error."""
        process = self.start(*arguments, **environment)
        code = process.wait()
        assert code == 0, f"{process.name} ended with {code}:\n{process.said}"
        return process

    def start_receiver(self, port: int, **environment: Any) -> Process:
        """In production settings."""
        process = self.start(
            *f"-m uvicorn webhook.main:app --port {port} --no-access-log".split(),
            **{"WHOP_WEBHOOK_SECRET": SECRET, "API_TOKEN": TOKEN} | environment,
        )
        wait_until_it_answers(process, f"http://127.0.0.1:{port}/healthz")
        return process

    def show(self) -> None:
        for process in self.all:
            process.show()

    def kill_all(self) -> None:
        for process in reversed(self.all):
            process.kill()


@contextmanager
def started_in(folder: Path) -> Iterator[Processes]:
    processes = Processes(folder)
    try:
        yield processes
    finally:
        processes.kill_all()
        processes.show()


def wait_until_it_answers(process: Process, url: str) -> None:
    def answers() -> bool:
        assert process.runs, f"{process.name} ended at once:\n{process.said}"
        try:
            return httpx.get(url, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, f"{process.name} answers")


class Stage:
    """A sandbox and a receiver that run; daemons come and go. `fail` and the ledger are real."""

    def __init__(self, processes: Processes, engine: Engine) -> None:
        self.processes, self.engine = processes, engine
        self.url = f"http://127.0.0.1:{free_port()}"
        self.receiver_url = f"http://127.0.0.1:{free_port()}"
        url = engine.url.render_as_string(hide_password=False)
        self.database = {"DATABASE_URL": url, "RETRY_POLICY": "hourly"}
        self.http = httpx.Client(base_url=self.url, timeout=20)
        self.never_be_quiet()
        self.sandbox = processes.start(
            *["-m", "sandbox"],
            SANDBOX_PORT=self.url.rpartition(":")[2],
            SANDBOX_FILE=str(processes.folder / "sandbox.sqlite"),
            SANDBOX_FAILURES_PER_MINUTE="0",
            SANDBOX_SEED="1",
            WEBHOOK_URL=f"{self.receiver_url}/webhook/whop",
            MAIL_EVENTS_URL=f"{self.receiver_url}/webhook/sendgrid",
        )
        self.receiver = self.start_receiver()
        wait_until_it_answers(self.sandbox, f"{self.url}/")

    def start_receiver(self, **environment: Any) -> Process:
        port = int(self.receiver_url.rpartition(":")[2])
        return self.processes.start_receiver(port, **self.database | environment)

    def daemon(self, command: str = "-m daemon", **environment: str) -> Process:
        usual: dict[str, Any] = {
            "WHOP_API_KEY": "apik_sandbox",
            "WHOP_API_URL": f"{self.url}/api/v1",
            "WHOP_COMPANY_ID": COMPANY,
            "SENDGRID_API_KEY": "SG.sandbox",
            "SENDGRID_API_URL": self.url,
            "EMAIL_FROM": "Lantern Academy <billing@example.com>",
            "LINK_SECRET": LINK_SECRET,
            "BASE_URL": "https://receiver.example.com",
        }
        return self.processes.start(*command.split(), **self.database | usual | environment)

    def work_once(self, **environment: str) -> None:
        daemon = self.daemon("-m daemon once", **environment)
        assert daemon.wait() == 0

    # --- Whop ----------------------------------------------------------------------------------

    def post(self, path: str, **content: Any) -> Any:
        return self.http.post(path, json=content).raise_for_status().json()

    def fail(self, *script: str, **wanted: Any) -> str:
        """A renewal whose charges end as `script` says, and its webhook, which has arrived."""
        answer = self.post("/sandbox/fail_renewal", script=script, **wanted)
        payment_id = str(answer["payment_id"])
        wait_until(lambda: self.row(payment_id), "the webhook about the failure has arrived")
        return payment_id

    def break_down(self, operation: str, kind: str, **more: Any) -> None:
        self.post("/sandbox/faults", operation=operation, kind=kind, **more)

    def mend(self) -> None:
        self.http.delete("/sandbox/faults").raise_for_status()

    def clear(self) -> None:
        """As it was before the first test: nothing but the sandbox and the receiver runs."""
        self.mend()
        daemons = [p for p in self.processes.all if p not in (self.sandbox, self.receiver)]
        for daemon in daemons:
            daemon.kill()
        self.processes.show()
        self.processes.all = [self.sandbox, self.receiver]

    def retries(self, payment_id: str) -> list[dict[str, Any]]:
        """The real charges that we caused, from the ledger."""
        return [c for c in self.charges(payment_id) if c["by"] == "retry"]

    def charges(self, payment_id: str) -> list[dict[str, Any]]:
        answer = self.http.get("/sandbox/ledger", params={"payment_id": payment_id})
        return list(answer.raise_for_status().json()["charges"])

    def mails(self, payment_id: str) -> list[dict[str, Any]]:
        mails = self.http.get("/mails.json").raise_for_status().json()
        return [mail for mail in mails if mail["custom_args"].get("payment_id") == payment_id]

    # --- the database --------------------------------------------------------------------------

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def row(self, payment_id: str) -> Any:
        found = self.rows("select * from payments where payment_id = :id", id=payment_id)
        return found[0] if found else None

    def attempts(self, payment_id: str) -> list[Any]:
        query = "select * from attempts where payment_id = :id order by number"
        return self.rows(query, id=payment_id)

    def make_due(self, *payment_ids: str) -> None:
        self.execute(
            "update payments set next_retry_at = now() - interval '1 second'"
            " where payment_id = any(:ids)",
            ids=list(payment_ids),
        )

    def never_be_quiet(self) -> None:
        """These tests run at whatever hour it is. Before anything fails: a daemon that finds a
        message in the quiet hours puts it off until the morning."""
        with session_factory(self.engine).begin() as session:
            save_messaging_settings(
                session, COMPANY, MessagingSettings(quiet_from=0, quiet_until=0), "somebody", now()
            )

    def let_leases_lapse(self) -> None:
        self.execute(
            "update payments set claimed_until = now() - interval '1 second'"
            " where claimed_until is not null"
        )

    def wait_for_webhooks(self, payment_id: str) -> None:
        """Every charge of a scripted payment is announced once."""
        query = "select 1 from webhook_events where payment_id = :id"
        wait_until(
            lambda: len(self.rows(query, id=payment_id)) == len(self.charges(payment_id)),
            "Whop's webhooks have all arrived",
        )


@contextmanager
def stage_in(folder: Path, engine: Engine) -> Iterator[Stage]:
    with started_in(folder) as processes:
        stage = Stage(processes, engine)
        try:
            yield stage
        finally:
            stage.http.close()
            processes.kill_all()
            empty(engine)
