"""What the documents promise is there, and what is there is documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.settings import DaemonSettings
from dashboard.settings import ServerSettings
from recovery.status import PaymentStatus
from webhook.openapi import WEBHOOK_PATHS
from webhook.settings import WebhookSettings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS = sorted(
    {
        name.upper()
        for kind in (WebhookSettings, DaemonSettings, ServerSettings)
        for name in kind.model_fields
    }
)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented_and_in_the_example(name):
    assert f"| `{name}` |" in README
    assert re.search(rf"^{name}=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def test_no_setting_is_documented_or_exemplified_that_nobody_reads():
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    exemplified = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert documented == exemplified == set(SETTINGS)


def test_defaults_in_the_readme_are_those_of_the_code():
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", README, re.MULTILINE)
    assert rows
    for name, default in rows:
        for kind in (WebhookSettings, DaemonSettings, ServerSettings):
            if (field := kind.model_fields.get(name.lower())) is not None:
                assert str(field.default).lower() == default.lower(), name


def test_every_status_is_explained():
    assert all(f"`{status}`" in (ROOT / "docs/figures.md").read_text() for status in PaymentStatus)


def test_the_readme_names_the_routes():
    assert all(path in README for path in (*WEBHOOK_PATHS, "/stats/summary", "/payments/list"))


def test_every_link_to_a_file_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_procfile_starts_what_the_brief_names():
    names = re.findall(r"^(\w+):", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert names == ["release", "web", "daemon", "dashboard"]


@pytest.mark.slow
def test_imports_go_down_only():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
