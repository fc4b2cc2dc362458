"""One thing has one name: the glossary has each word once, and the documents use no former one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text()
WORDS, COMMANDS, LABELS = re.split(r"^## .*$", GLOSSARY, flags=re.MULTILINE)
QUOTING = (DOCS / "glossary.md", DOCS / "developers" / "former-names.md")
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))
    if page not in QUOTING and DOCS / "decisions" not in page.parents
]


def read_rows(table: str) -> list[tuple[str, ...]]:
    """Without the header and the line under it."""
    rows = re.findall(r"^\|(.*)\|$", table, re.MULTILINE)
    return [tuple(cell.strip() for cell in row.split("|")) for row in rows[2:]]


def list_former_words() -> list[str]:
    """Those that are used for nothing any more."""
    return sorted(
        {word for row in read_rows(WORDS) for word in re.findall(r"\*\*(.+?)\*\*", row[2])}
    )


def list_former_commands() -> list[str]:
    return [former.strip("`") for _, former in read_rows(COMMANDS)]


def find_uses(former: str, text: str) -> list[str]:
    """Of a word and its plural, alone or inside a name; a command as it is written."""
    return re.findall(rf"(?<![a-z]){re.escape(former)}e?s?(?![a-z])", text, re.IGNORECASE)


def name_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_each_word_is_there_once_and_in_order():
    words = [row[0].casefold() for row in read_rows(WORDS)]
    assert len(words) > 80
    assert words == sorted(set(words))


def test_each_word_has_a_meaning_and_room_for_the_word_before():
    assert [row for row in read_rows(WORDS) if len(row) != 3 or not row[1]] == []


@pytest.mark.parametrize("former", ["deeds", "occasion", "`hasten`"])
def test_a_former_word_is_found_wherever_it_stands(former):
    plain = former.strip("`")
    for text in (f"the {plain}.", f"list_{plain}", plain.upper(), f"{plain}s"):
        assert find_uses(plain, text), text
    assert not find_uses(plain, f"un{plain}")


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_no_document_uses_a_former_word(page):
    text = " ".join(page.read_text().split())
    formers = [*list_former_words(), *list_former_commands()]
    assert len(formers) > 15
    assert {former: found for former in formers if (found := find_uses(former, text))} == {}


def test_no_decision_names_anything_by_a_former_word():
    """They may quote what was before, in what was considered instead."""
    for page in (DOCS / "decisions").glob("0*.md"):
        text = " ".join(page.read_text().split("**Considered instead.**")[0].split())
        assert [former for former in list_former_words() if find_uses(former, text)] == [], (
            page.name
        )
