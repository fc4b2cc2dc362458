"""`python -m tests.draw_architecture`: draws the pictures of the architecture page anew.

A picture shows the rooms that the table below it names, with the imports that really are there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeAlias

import grimp

from tests.structure import CODE, ROOT

PAGE = ROOT / "docs/architecture.md"
SECTION = re.compile(r"^(?=## )", re.MULTILINE)
PICTURE = re.compile(r"(?<=<!-- drawn from the imports -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)
ROW = re.compile(r"^\| (`.+?`) \|", re.MULTILINE)
PATH = re.compile(r"`([\w/]+?)(?:/|\.py)`")


@dataclass(frozen=True, slots=True)
class Room:
    """A row of a table: one module or package, or several that belong together."""

    modules: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.modules[0].replace(".", "_").strip("_")

    @property
    def label(self) -> str:
        return "<br>".join(module.rpartition(".")[2].strip("_") for module in self.modules)

    def holds(self, module: str) -> bool:
        return any(f"{module}.".startswith(f"{own}.") for own in self.modules)


Arrow: TypeAlias = tuple[Room, Room]
# What each room imports.
Below: TypeAlias = dict[Room, set[Room]]


def draw_page(page: str) -> str:
    imports = list_imports()
    return "".join(draw_section(section, imports) for section in SECTION.split(page))


def draw_section(section: str, imports: Iterable[tuple[str, str]]) -> str:
    if PICTURE.search(section) is None:
        return section
    picture = draw(read_rooms(section), imports)
    return PICTURE.sub(lambda _: f"```mermaid\n{picture}\n```\n", section)


def read_rooms(section: str) -> list[Room]:
    cells = ROW.findall(section)
    return [Room(tuple(path.replace("/", ".") for path in PATH.findall(cell))) for cell in cells]


@lru_cache(maxsize=1)
def list_imports() -> frozenset[tuple[str, str]]:
    """Importer and imported, modules of ours alone."""
    graph = grimp.build_graph(*CODE, cache_dir=None)
    return frozenset(
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    )


def draw(rooms: list[Room], imports: Iterable[tuple[str, str]]) -> str:
    """As Mermaid, each room on its floor: an arrow is as long as the floors it goes down."""
    arrows = find_arrows(rooms, imports)
    below = {room: {lower for upper, lower in arrows if upper == room} for room in rooms}
    order = list(TopologicalSorter(below).static_order())  # from the ground up
    floors = measure_floors(below, order)
    lines = ["flowchart TB", *(f'    {room.key}["{room.label}"]' for room in rooms)]
    for upper, lower in leave_out_implied(below, order):
        length = "-" * (floors[upper] - floors[lower])
        lines.append(f"    {upper.key} -{length}> {lower.key}")
    return "\n".join(lines)


def find_arrows(rooms: list[Room], imports: Iterable[tuple[str, str]]) -> set[Arrow]:
    def find_room(module: str) -> Room | None:
        return next((room for room in rooms if room.holds(module)), None)

    found = {(find_room(importer), find_room(imported)) for importer, imported in imports}
    return {(upper, lower) for upper, lower in found if upper and lower and upper != lower}


def measure_floors(below: Below, order: Iterable[Room]) -> dict[Room, int]:
    """How many rooms lie below each, one under the other, at most."""
    floors: dict[Room, int] = {}
    for room in order:
        floors[room] = max((floors[lower] + 1 for lower in below[room]), default=0)
    return floors


def leave_out_implied(below: Below, order: Iterable[Room]) -> list[Arrow]:
    """An arrow says nothing new where others lead to its end."""
    reach: dict[Room, set[Room]] = {}
    for room in order:
        reach[room] = below[room].union(*(reach[lower] for lower in below[room]))
    needed = (
        (upper, lower)
        for upper, lowers in below.items()
        for lower in lowers
        if not any(lower in reach[between] for between in lowers)
    )
    return sorted(needed, key=lambda arrow: (arrow[0].key, arrow[1].key))


def main(page: Path = PAGE) -> int:
    page.write_text(draw_page(page.read_text()))
    sys.stdout.write(f"{page.relative_to(ROOT)} shows the imports as they are.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
