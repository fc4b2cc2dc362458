"""What the documents promise is there, and what is there is documented."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from daemon.settings import DaemonSettings
from dashboard.settings import ServerSettings
from recovery.decline_codes import CODES
from recovery.status import PaymentStatus
from sandbox.model.switches import Switches
from tests.structure import CODE
from webhook.openapi import WEBHOOK_PATHS
from webhook.settings import WebhookSettings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
ASKED = [
    page for page in sorted(DOCS.rglob("*.md")) if not re.match(r"\d", page.name) and page != INDEX
]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
]
README = (ROOT / "README.md").read_text()
SETTINGS = sorted(
    {
        name.upper()
        for kind in (WebhookSettings, DaemonSettings, ServerSettings)
        for name in kind.model_fields
    }
)


def name_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented_and_in_the_example(name: str) -> None:
    assert f"| `{name}` |" in README
    assert re.search(rf"^{name}=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def test_no_setting_is_documented_or_exemplified_that_nobody_reads() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    exemplified = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert documented == exemplified == set(SETTINGS)


def test_defaults_in_the_readme_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", README, re.MULTILINE)
    assert rows
    for name, default in rows:
        for kind in (WebhookSettings, DaemonSettings, ServerSettings):
            if (field := kind.model_fields.get(name.lower())) is not None:
                assert str(field.default).lower() == default.lower(), name


def test_every_status_is_explained() -> None:
    page = (DOCS / "developers" / "figures.md").read_text()
    assert [status for status in PaymentStatus if f"`{status}`" not in page] == []


def test_every_decline_code_is_in_its_table_with_its_class_and_its_words() -> None:
    page = (DOCS / "creators" / "declines.md").read_text()
    rows = [
        f"| `{code}` | `{kind}` | {words} |"
        for kind, codes in CODES.items()
        for code, words in codes.items()
    ]
    assert [row for row in rows if row not in page] == []


def test_every_switch_of_the_sandbox_is_in_its_table() -> None:
    page = (DOCS / "developers" / "sandbox.md").read_text()
    assert [one.name for one in fields(Switches) if f"| `{one.name}` |" not in page] == []


def test_the_readme_names_the_routes() -> None:
    assert all(path in README for path in (*WEBHOOK_PATHS, "/stats/summary", "/payments/list"))


def name_anchors(page: Path) -> set[str]:
    """As GitHub names a heading's anchor: lower case, hyphens for spaces, no other signs."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            found = (page.parent / path) if path else page
            assert found.exists(), target
            assert not anchor or anchor in name_anchors(found), target


@pytest.mark.parametrize("page", ASKED, ids=name_page)
def test_the_index_lists_each_page_once_under_its_one_question(page: Path) -> None:
    title = page.read_text().splitlines()[0]
    assert re.fullmatch(r"# [^?]+\?", title), title
    path = page.relative_to(DOCS).as_posix()
    assert INDEX.read_text().count(f"]({path})") == 1
    assert f"- [{title.removeprefix('# ')}]({path})" in INDEX.read_text().splitlines()


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_every_path_that_a_document_names_exists(page: Path) -> None:
    rooms = "|".join((*CODE, "tests", "scripts"))
    # In the one they are former, in the other some are to be filled in (test_contributing.py).
    elsewhere = page in (DOCS / "developers" / "former-names.md", ROOT / "CONTRIBUTING.md")
    named = re.findall(rf"`((?:{rooms})/[\w./-]+)`", page.read_text())
    assert [path for path in named if not elsewhere and not (ROOT / path).exists()] == []


def test_every_document_that_the_code_names_exists() -> None:
    sources = [path for room in (*CODE, "tests") for path in (ROOT / room).rglob("*.py")]
    text = "".join(source.read_text() for source in (*sources, ROOT / "render.yaml"))
    named = set(re.findall(r"docs/[a-z/-]+\.md", text))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_procfile_starts_what_the_brief_names() -> None:
    names = re.findall(r"^(\w+):", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert names == ["release", "web", "daemon", "dashboard"]


@pytest.mark.slow
def test_imports_go_down_only() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
