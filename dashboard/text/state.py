"""How a payment stands, in a tone and a few words: the pill. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recovery.action_required import NextStepKind
from recovery.labels import CLOSED_REASONS, HOLDS, NEXT_STEPS, continue_with
from recovery.next_step import NextStep
from recovery.wording import format_span


class Tone(StrEnum):
    GOOD = "good"
    WORKING = "working"
    WAITING = "waiting"
    OVER = "over"


TONES: dict[NextStepKind, Tone] = {
    NextStepKind.RECOVERED: Tone.GOOD,
    NextStepKind.NOT_RECOVERED: Tone.OVER,
    NextStepKind.STOPPING: Tone.WORKING,
    NextStepKind.CHARGING: Tone.WORKING,
    NextStepKind.CONFIRMING: Tone.WORKING,
    NextStepKind.CHARGE_REQUESTED: Tone.WORKING,
    NextStepKind.CLOSING: Tone.WAITING,
    NextStepKind.ON_HOLD: Tone.WAITING,
    NextStepKind.RETRY: Tone.WORKING,
    NextStepKind.NEEDS_YOU: Tone.WAITING,
    NextStepKind.WHOP: Tone.WAITING,
    NextStepKind.MEMBER: Tone.WAITING,
}


@dataclass(frozen=True, slots=True)
class State:
    tone: Tone
    words: str
    detail: str = ""


def describe_state(step: NextStep, now: datetime, recovery: str = "") -> State:
    """`recovery`: how a payment was recovered, in a few words."""
    detail = ""
    match step.kind:
        case NextStepKind.RECOVERED:
            detail = recovery
        case NextStepKind.NOT_RECOVERED if step.closed_reason is not None:
            detail = continue_with(CLOSED_REASONS[step.closed_reason])
        case NextStepKind.RETRY:
            detail = "due now" if step.at is None else f"in {format_span(step.at - now)}"
        case NextStepKind.ON_HOLD if step.hold is not None:
            detail = continue_with(HOLDS[step.hold])
    return State(TONES[step.kind], NEXT_STEPS[step.kind], detail)
