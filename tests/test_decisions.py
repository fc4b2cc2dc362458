"""Each decision has a number, a date, its reason, and what else was considered."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "docs" / "decisions"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
INDEX = (FOLDER / "README.md").read_text()
PARTS = ("Decision", "Why", "Considered instead")


def name_page(page: Path) -> str:
    return page.stem


def read_date(page: Path) -> date:
    (said,) = re.findall(r"^Decided on (\S+)\.$", page.read_text(), re.MULTILINE)
    return date.fromisoformat(said)


def test_the_numbers_have_no_gap() -> None:
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_a_later_number_is_no_earlier_decision() -> None:
    dates = [read_date(page) for page in PAGES]
    assert dates == sorted(dates)


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_it_says_what_why_and_what_else_was_considered(page: Path) -> None:
    parts = re.findall(r"^\*\*(.+?)\.\*\* (.+)$", page.read_text(), re.MULTILINE)
    assert tuple(name for name, _ in parts) == PARTS
    assert all(text.strip() for _, text in parts)


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_the_index_has_it_with_its_date_and_title(page: Path) -> None:
    number, title = page.read_text().splitlines()[0].removeprefix("# ").split(". ", 1)
    assert page.name.startswith(f"{number}-")
    row = f"| [{number}]({page.name}) | {read_date(page)} | {title} |"
    assert INDEX.splitlines().count(row) == 1


def test_the_index_lists_nothing_else() -> None:
    rows = re.findall(r"^\| \[(\d{4})\]", INDEX, re.MULTILINE)
    assert sorted(rows) == [page.name[:4] for page in PAGES]
