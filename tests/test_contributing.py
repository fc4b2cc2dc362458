"""CONTRIBUTING.md: every path, name, command and test that it sends anybody to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.named import find_definition, read_tree
from tests.structure import CODE, ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
STYLE, CHANGES = GUIDE.split("## The files for common changes")
CHECKLISTS = {part.splitlines()[0]: part for part in CHANGES.split("\n### ")[1:]}
COMMANDS = "\n".join(re.findall(r"^```\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
PATH = re.compile(rf"(?:(?:{'|'.join(CODE)}|tests|docs)/[\w./]+|[\w.-]+\.(?:md|yaml|txt|example))")
NAMED = re.compile(r"`([\w/]+\.py)`\s+\(((?:`[\w.]+`(?:,\s+)?)+)\)")
# What whoever follows a checklist fills in.
YOURS = re.compile(r"[A-Z]{3,}")


def list_paths() -> list[str]:
    quoted = re.findall(r"`([^`\n]+)`", GUIDE.replace("```", ""))
    linked = re.findall(r"\]\(([^)#:]+)\)", GUIDE)
    asked = [word for command in (*quoted, COMMANDS) for word in command.split()]
    return sorted({path for path in (*asked, *linked) if PATH.fullmatch(path)})


def list_names() -> list[tuple[str, str]]:
    return sorted(
        {
            (path, name)
            for path, names in NAMED.findall(GUIDE)
            for name in re.findall(r"[\w.]+", names)
        }
    )


def list_found(path: str) -> list[Path]:
    """As it stands, or whatever has taken the place of what is to be filled in."""
    exact = ROOT / path
    return [exact] if exact.exists() else [*ROOT.glob(YOURS.sub("*", path))]


def test_there_is_a_checklist_for_each_common_change() -> None:
    assert len(CHECKLISTS) == 13


@pytest.mark.parametrize("change", CHECKLISTS)
def test_a_checklist_has_its_files_in_order_and_the_tests_to_run(change: str) -> None:
    checklist = CHECKLISTS[change]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", checklist, re.MULTILINE)]
    assert len(numbers) >= 5
    assert numbers == [*range(1, len(numbers) + 1)]
    assert "docs/" in checklist or "README.md" in checklist
    assert re.search(r"^\.venv/bin/python -m pytest tests/", checklist, re.MULTILINE)


@pytest.mark.parametrize("path", list_paths())
def test_every_path_is_there(path: str) -> None:
    assert list_found(path) != []


@pytest.mark.parametrize(("path", "name"), list_names())
def test_every_name_is_defined_where_it_is_said_to_be(path: str, name: str) -> None:
    assert find_definition(ROOT / path, name) is not None


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake (\w+)", GUIDE))
    assert len(named) >= 6
    assert named - targets == set()


@pytest.mark.parametrize(("file", "word"), re.findall(r"(tests/\w+\.py) -k (\w+)", COMMANDS))
def test_a_word_that_chooses_tests_chooses_some(file: str, word: str) -> None:
    names = [getattr(node, "name", "") for node in read_tree(ROOT / file).body]
    assert any(name.startswith("test_") and word in name for name in names)


def test_the_guide_names_much_of_each() -> None:
    assert len(list_paths()) > 100
    assert len(list_names()) > 50
    assert "make check" in STYLE
