"""One thing has one name: the glossary has each word once, and the documents use no former one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recovery import labels

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text()
WORDS, COMMANDS, LABELS = re.split(r"^## .*$", GLOSSARY, flags=re.MULTILINE)
QUOTING = (DOCS / "glossary.md", DOCS / "developers" / "former-names.md")
PAGES = [
    page
    for page in (*ROOT.glob("*.md"), *sorted(DOCS.rglob("*.md")))
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


def read_labels() -> dict[str, tuple[str, ...]]:
    """Of each value, by the heading of its table."""
    tables = re.split(r"^### (.*)$", LABELS, flags=re.MULTILINE)[1:]
    return {
        f"{heading}: {value.strip('`')}": tuple(said)
        for heading, table in zip(tables[::2], tables[1::2], strict=True)
        for value, *said in read_rows(table)
    }


def name_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_each_word_is_there_once_and_in_order() -> None:
    words = [row[0].casefold() for row in read_rows(WORDS)]
    assert len(words) > 80
    assert words == sorted(set(words))


def test_each_word_has_a_meaning_and_room_for_the_word_before() -> None:
    assert [row for row in read_rows(WORDS) if len(row) != 3 or not row[1]] == []


@pytest.mark.parametrize("former", ["deeds", "occasion", "`hasten`"])
def test_a_former_word_is_found_wherever_it_stands(former: str) -> None:
    plain = former.strip("`")
    for text in (f"the {plain}.", f"list_{plain}", plain.upper(), f"{plain}s"):
        assert find_uses(plain, text), text
    assert not find_uses(plain, f"un{plain}")


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_no_document_uses_a_former_word(page: Path) -> None:
    text = " ".join(page.read_text().split())
    formers = [*list_former_words(), *list_former_commands()]
    assert len(formers) > 15
    assert {former: found for former in formers if (found := find_uses(former, text))} == {}


def test_no_decision_names_anything_by_a_former_word() -> None:
    """They may quote what was before, in what was considered instead."""
    for page in (DOCS / "decisions").glob("0*.md"):
        text = " ".join(page.read_text().split("**Considered instead.**")[0].split())
        assert [former for former in list_former_words() if find_uses(former, text)] == [], (
            page.name
        )


# As the glossary heads them. The three of messages stand side by side.
LABELLED: dict[str, tuple[str, ...]] = {
    "Statuses of a payment": ("STATUSES",),
    "Reasons for a decline": ("REASONS",),
    "Who recovered it": ("RECOVERED_BY",),
    "Why a payment is not recovered": ("CLOSED_REASONS",),
    "What happens next": ("NEXT_STEPS",),
    "What helps most": ("LEAD_ACTIONS",),
    "Why a payment waits": ("HOLDS",),
    "What needs you": ("NEEDS",),
    "What started a try": ("TRIGGERS",),
    "The outcome of a try": ("OUTCOMES",),
    "What is charged": ("CHARGE_METHODS",),
    "Channels": ("CHANNELS",),
    "Messages": ("MESSAGES", "EMAILS", "CHAT_MESSAGES"),
    "States of a message": ("MESSAGE_STATES",),
    "What happened to an email": ("EMAIL_EVENTS",),
    "Requests": ("REQUESTS",),
    "The audit log": ("ACTIONS",),
    "Notices to creators": ("NOTICES",),
}


def test_the_labels_are_those_that_people_read() -> None:
    tables = {name: table for name, table in vars(labels).items() if name.isupper()}
    assert read_labels() == {
        f"{heading}: {member}": tuple(tables[name][member] for name in names)
        for heading, names in LABELLED.items()
        for member in tables[names[0]]
    }


def test_no_table_of_labels_is_left_out() -> None:
    shown = {name for names in LABELLED.values() for name in names}
    # What failed in a delivery is one of the things that happened to an email.
    assert {name for name in vars(labels) if name.isupper()} - shown == {"DELIVERY_FAILURES"}
