"""Arithmetic on measurements, and how they are printed. Pure functions: no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of them do not exceed. `ordered` is sorted, not empty."""
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1]


def ratio(part: float, whole: float) -> float:
    """0 if `whole` is 0: the target then fails."""
    return part / whole if whole > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table in docs/developers/speed.md, with the value measured in this run."""

    name: str
    sense: Literal[">=", "<="]
    wanted: float
    measured: float
    unit: str = ""

    @property
    def met(self) -> bool:
        if self.sense == ">=":
            return self.measured >= self.wanted
        return self.measured <= self.wanted

    @property
    def words(self) -> tuple[str, ...]:
        return (
            self.name,
            f"{self.sense} {self.wanted:g}{self.unit}",
            f"{self.measured:.3g}{self.unit}",
            "PASS" if self.met else "FAIL",
        )


def lay_out(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: first column left-aligned, the others right-aligned."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
