"""The daemon is wired in one place: its process, the demo's past and the rough rig have the same
objects."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from daemon.process import Daemon
from daemon.settings import DaemonSettings
from daemon.wiring import Services
from db.session import SessionFactory
from tests.factories import COMPANY
from tests.rig import Rig
from tests.rough_rig import RoughRig

ROOT = Path(__file__).parent.parent
WIRED = {
    "Cycle",
    "CreatorNotifier",
    "MessageSender",
    "Reconciler",
    "Replayer",
    "Retrier",
    "SupportChat",
}
SERVICES = {"Cycle", "CreatorNotifier", "MessageSender", "Reconciler", "Replayer"}
OUTSIDE = {"sendgrid_client", "transport"}
ROOTS = (
    *(ROOT / "daemon").glob("*.py"),
    *(ROOT / "sandbox").rglob("*.py"),
    *(ROOT / "bench").rglob("*.py"),
    ROOT / "tests/rig.py",
    ROOT / "tests/rough_rig.py",
)


class Nothing:
    """A witness that looks away."""

    def watch(self, request: Any) -> None: ...
    def note_answer(self, request: Any, response: Any) -> None: ...


@pytest.fixture
def process(sessions: SessionFactory) -> Iterator[Services]:
    url = sessions.kw["bind"].url.render_as_string(hide_password=False)
    settings = DaemonSettings(
        _env_file=None,
        environment="development",
        database_url=url,
        whop_company_id=COMPANY,
        email_enabled=True,
        sendgrid_api_key="SG.sandbox",
        email_from="us@example.com",
    )
    daemon = Daemon(settings)
    yield daemon.services
    daemon.engine.dispose()
    daemon.whop.wire.http.close()


def shallow(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def describe(value: object) -> Any:
    """What is wired, down to what each root brings along: its clock, its lines to the outside."""
    if callable(value):
        return "callable"
    if not type(value).__module__.startswith("daemon."):
        return type(value).__name__
    parts = vars(value) if hasattr(value, "__dict__") else shallow(value)
    within = {name: describe(part) for name, part in parts.items() if name not in OUTSIDE}
    return {"is": type(value).__name__} | within


def describe_services(services: Services) -> dict[str, Any]:
    return {field.name: describe(getattr(services, field.name)) for field in fields(services)}


def test_the_process_the_past_and_the_rough_rig_have_the_same_objects(
    process: Services, sessions: SessionFactory, tmp_path: Path
):
    (tmp_path / "rough").mkdir()
    whole = describe_services(process)
    past = describe_services(Rig(sessions, tmp_path).services)
    rough = describe_services(RoughRig(sessions, tmp_path / "rough", Nothing()).crew.services)
    assert {found["is"] for found in whole.values() if found != "callable"} == SERVICES
    assert whole["message_sender"]["chat"]["is"] == "SupportChat"
    assert whole["notifier"]["poster"]["is"] == "Poster"
    assert whole["notifier"]["mailer"] == whole["message_sender"]["mailer"]
    assert rough == whole
    # The past hears every webhook: its cycle reads nothing back.
    assert past["cycle"].pop("reconciler") == "NoneType"
    assert whole["cycle"].pop("reconciler") == whole["reconciler"]
    assert past == whole


def find_wired(path: Path) -> set[str]:
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    return {call.id for call in calls if isinstance(call, ast.Name)} & WIRED


def test_nobody_else_wires_them_by_hand():
    by_hand = {
        path.relative_to(ROOT).as_posix(): wired for path in ROOTS if (wired := find_wired(path))
    }
    assert by_hand == {"daemon/wiring.py": WIRED}


@pytest.mark.slow
def test_only_who_sends_mail_carries_sendgrids_package():
    lean = "import sys, daemon.__main__, daemon.wiring; sys.exit('sendgrid' in sys.modules)"
    assert run([sys.executable, "-c", lean], cwd=ROOT).returncode == 0


@pytest.mark.slow
def test_the_receiver_carries_no_client_of_http_in_production():
    lean = "import sys, webhook.main; sys.exit('httpx' in sys.modules)"
    production = {
        "ENVIRONMENT": "production",
        "WHOP_WEBHOOK_SECRET": "x" * 40,
        "API_TOKEN": "x" * 40,
        "DATABASE_URL": "postgresql://localhost/none",
    }
    done = run([sys.executable, "-c", lean], cwd=ROOT, env=os.environ | production)
    assert done.returncode == 0


def test_only_who_posts_carries_a_client_for_it(process: Services):
    assert "http" not in vars(process.notifier.poster)
