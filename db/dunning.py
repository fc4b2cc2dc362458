"""Which message a member gets when: pure rules, counted back from the end of the window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from db.status import Step


@dataclass(frozen=True, slots=True)
class Planned:
    step: Step
    at: datetime


def plan_first(window_ends_at: datetime, now: datetime) -> Planned | None:
    """None: the window has ended, and there is nothing to be said."""
    return Planned(Step.PAYMENT_FAILED, now) if now < window_ends_at else None
