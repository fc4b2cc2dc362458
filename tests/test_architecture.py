"""The architecture page: its pictures, its rooms and its walks are those of the code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from graphlib import CycleError

import pytest

from tests.draw_architecture import PAGE, SECTION, Room, draw, draw_page, list_imports, read_rooms
from tests.named import Defined, find_definition, find_module, list_mentioned
from tests.structure import CODE, ROOT

DOOR = re.compile(r"`([a-z_.]+):([\w.]+)`")


@dataclass(frozen=True, slots=True)
class Door:
    module: str
    name: str

    @property
    def definition(self) -> Defined | None:
        return find_definition(find_module(self.module), self.name)

    def leads_to(self, other: Door) -> bool:
        """Its own code, or its class, names the other, and its module knows the other's."""
        known = self.module == other.module or (self.module, other.module) in list_imports()
        around = find_definition(find_module(self.module), self.name.partition(".")[0])
        called = other.name.rpartition(".")[2]
        return known and around is not None and called in list_mentioned(around)


def list_walks() -> dict[str, list[Door]]:
    """By the heading; a door that is named twice is one."""
    walks = {}
    for section in SECTION.split(PAGE.read_text()):
        if doors := list(dict.fromkeys(DOOR.findall(section))):
            walks[section.splitlines()[0].strip("# ")] = [Door(*door) for door in doors]
    return walks


WALKS = list_walks()


def name_door(door: Door) -> str:
    return f"{door.module}:{door.name}"


def rooms(*names: str) -> list[Room]:
    return [Room((name,)) for name in names]


def list_arrows(picture: str) -> list[str]:
    return [line.strip() for line in picture.splitlines() if ">" in line]


def test_the_pictures_show_the_imports_that_are_there() -> None:
    page = PAGE.read_text()
    assert page == draw_page(page), "draw it anew: .venv/bin/python -m tests.draw_architecture"
    assert page.count("```mermaid") == 4


def test_an_import_is_an_arrow_from_the_importer() -> None:
    imports = [("db.ledger.claims", "db.models.payments"), ("db.ledger.claims", "db.ledger.rows")]
    assert list_arrows(draw(rooms("db.ledger", "db.models"), imports)) == [
        "db_ledger --> db_models"
    ]


def test_what_other_arrows_imply_is_left_out() -> None:
    imports = [("a", "b"), ("b", "c"), ("a", "c")]
    assert list_arrows(draw(rooms("a", "b", "c"), imports)) == ["a --> b", "b --> c"]


def test_an_arrow_is_as_long_as_the_floors_it_goes_down() -> None:
    imports = [("a", "b"), ("b", "c"), ("a", "d"), ("d", "e"), ("e", "c")]
    assert "a ---> b" in list_arrows(draw(rooms("a", "b", "c", "d", "e"), imports))


def test_rooms_that_import_one_another_cannot_be_drawn() -> None:
    with pytest.raises(CycleError):
        draw(rooms("a", "b"), [("a.one", "b.one"), ("b.two", "a.two")])


def test_a_room_is_not_another_whose_name_begins_alike() -> None:
    assert Room(("db.session",)).holds("db.session")
    assert not Room(("db.session",)).holds("db.sessions")


def test_every_module_and_every_package_has_its_one_room() -> None:
    named = [module for room in read_rooms(PAGE.read_text()) for module in room.modules]
    assert sorted(named) == sorted(set(named))
    there = set(CODE)
    for package in CODE:
        for path in (ROOT / package).iterdir():
            if path.name != "__init__.py" and (path.suffix == ".py" or [*path.rglob("*.py")]):
                there.add(f"{package}.{path.stem}")
    assert there - set(named) == set()
    assert [name for name in named if not find_module(name).parent.exists()] == []


def test_three_walks_are_told() -> None:
    assert len(WALKS) == 3
    assert all(len(doors) >= 10 for doors in WALKS.values())


@pytest.mark.parametrize(
    "door", [door for doors in WALKS.values() for door in doors], ids=name_door
)
def test_every_door_is_there(door: Door) -> None:
    assert door.definition is not None


@pytest.mark.parametrize("walk", WALKS)
def test_every_door_calls_or_is_called_by_one_before_it(walk: str) -> None:
    doors = WALKS[walk]
    alone = [
        name_door(door)
        for number, door in enumerate(doors)
        if number and not any(a.leads_to(door) or door.leads_to(a) for a in doors[:number])
    ]
    assert alone == []
