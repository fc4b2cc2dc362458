"""One line of the health page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recovery.health import Level


@dataclass(frozen=True, slots=True)
class Finding:
    """`since`: when the present state began, or when it was last seen to be fine."""

    part: str
    level: Level
    words: str
    todo: str = ""
    since: datetime | None = None
