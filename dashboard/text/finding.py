"""One line of the health page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recovery.health import Level


@dataclass(frozen=True, slots=True)
class Finding:
    """`since`: when this state began; for a part that works, when it was last seen to."""

    part: str
    level: Level
    words: str
    advice: str = ""
    since: datetime | None = None
