"""What happens next with a payment, in words: the one place that says it to the creator. Pure.

recovery/next_step.py decides it, state.py says in a word how it stands. The list, the story, the
timeline and the CSV file all say it from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from dashboard.text.state import Tone
from recovery.action_required import REMEDIES, NextStepKind
from recovery.labels import (
    CHARGE_METHODS,
    HOLDS,
    NEEDS,
    NEXT_STEPS,
    TRIGGERS,
    continue_with,
    name_message,
)
from recovery.message_schedule import PlannedMessage
from recovery.next_step import NextStep, PlannedCharge
from recovery.standing import Hold
from recovery.status import ChargeMethod, Trigger
from recovery.wording import format_span

SHORTLY = "shortly"
# In these the story tells of the deadline.
ENDING = frozenset({NextStepKind.WHOP, NextStepKind.MEMBER, NextStepKind.ON_HOLD})
WAITS_UNTIL: dict[Hold, str] = {
    Hold.PAUSED: "We wait until the membership goes on",
    Hold.INQUIRY: "We wait until the bank closes its inquiry",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One thing that is planned. `at` None: shortly."""

    at: datetime | None
    words: str
    tone: Tone


def describe_next(step: NextStep, now: datetime, zone: ZoneInfo) -> str:
    """Who does what next, in a few words; empty where nothing comes."""
    match step.kind:
        case NextStepKind.RECOVERED:
            return ""
        case NextStepKind.ON_HOLD:
            return WAITS_UNTIL[step.hold] if step.hold is not None else ""
        case NextStepKind.NOT_RECOVERED:
            return describe_message(step.message, now, zone)
        case NextStepKind.STOPPING:
            return "We stop recovery within a minute"
        case NextStepKind.CHARGING:
            return "We are charging now"
        case NextStepKind.CONFIRMING:
            return "We ask Whop how the charge ended"
        case NextStepKind.CHARGE_REQUESTED:
            return "We charge within a minute"
        case NextStepKind.CLOSING:
            return "We close it within the hour"
        case NextStepKind.RETRY:
            return describe_charge(step.charge, zone)
        case NextStepKind.NEEDS_YOU:
            return REMEDIES[step.need] if step.need is not None else ""
        case NextStepKind.WHOP:
            return describe_whop(step.whop_at, zone)
        case NextStepKind.MEMBER:
            written = describe_message(step.message, now, zone)
            return written or describe_deadline(step.deadline, zone)
        case _:
            assert_never(step.kind)


def describe_charge(charge: PlannedCharge | None, zone: ZoneInfo) -> str:
    if charge is None or charge.at is None:
        return "We retry within the hour"
    return f"We retry{mention_backup_card(charge.method)} on {format_when(charge.at, zone)}"


def describe_whop(at: datetime | None, zone: ZoneInfo) -> str:
    return f"Whop retries on {format_when(at, zone)}" if at is not None else ""


def describe_message(message: PlannedMessage | None, now: datetime, zone: ZoneInfo) -> str:
    if message is None:
        return ""
    when = SHORTLY if message.at <= now else f"on {format_when(message.at, zone)}"
    return f"We write to the member {when}"


def describe_deadline(deadline: datetime | None, zone: ZoneInfo) -> str:
    return f"Deadline {format_when(deadline, zone)}" if deadline is not None else ""


def mention_backup_card(method: ChargeMethod) -> str:
    """` with the backup card`; the card on file goes without saying."""
    backup = method is ChargeMethod.BACKUP_CARD
    return f" with the {continue_with(CHARGE_METHODS[method])}" if backup else ""


def explain_next(step: NextStep, now: datetime, zone: ZoneInfo) -> str:
    """In whole sentences: the next thing, then whatever else is planned, and why something is
    not."""
    return " ".join(f"{sentence}." for sentence in list_sentences(step, now, zone))


def list_sentences(step: NextStep, now: datetime, zone: ZoneInfo) -> Iterator[str]:
    if step.kind is NextStepKind.NEEDS_YOU and step.need is not None:
        yield NEXT_STEPS[step.kind]
        yield f"{NEEDS[step.need]}: {continue_with(REMEDIES[step.need])}"
    elif step.kind is NextStepKind.ON_HOLD and step.hold is not None:
        until = continue_with(WAITS_UNTIL[step.hold])
        yield f"{HOLDS[step.hold]}: {until}, and neither charge nor write to the member"
    elif step.kind in (NextStepKind.WHOP, NextStepKind.MEMBER):
        yield NEXT_STEPS[step.kind]
    elif step.kind is not NextStepKind.RETRY:
        yield describe_next(step, now, zone)
    if step.charge is not None:
        ahead = f", in {format_span(step.charge.at - now)}" if step.charge.at else ""
        yield f"{describe_charge(step.charge, zone)}{ahead}"
    yield from filter(None, (describe_whop(step.whop_at, zone),))
    if step.kind is not NextStepKind.NOT_RECOVERED:
        yield from filter(None, (describe_message(step.message, now, zone),))
    if step.no_retry is not None and step.need is None:
        yield f"We do not retry: {step.no_retry}"
    if step.silence is not None and step.need is None:
        yield f"We do not write to the member: {step.silence}"
    if step.deadline is not None and step.kind in ENDING:
        ahead = format_span(step.deadline - now)
        yield f"Deadline: {format_when(step.deadline, zone)}, in {ahead}"


def list_plans(step: NextStep, now: datetime, *, membership: bool) -> Iterator[Plan]:
    """For the timeline. `membership`: one that Whop ends where nobody pays."""
    if step.charge is not None:
        card = mention_backup_card(step.charge.method)
        yield Plan(step.charge.at, f"{TRIGGERS[Trigger.SCHEDULE]}{card}", Tone.WORKING)
    if step.whop_at is not None:
        yield Plan(step.whop_at, TRIGGERS[Trigger.WHOP], Tone.WAITING)
    if step.message is not None:
        at = step.message.at if step.message.at > now else None
        yield Plan(at, f"{name_message(step.message.step)} to the member", Tone.WORKING)
    if step.deadline is not None:
        ends = ": Whop cancels the membership" if membership else ""
        yield Plan(step.deadline, f"Deadline{ends}", Tone.OVER)


def format_when(moment: datetime, zone: ZoneInfo) -> str:
    """`Fri 27 Nov, 09:00`: all that is planned lies within days."""
    return f"{moment.astimezone(zone):%a %-d %b, %H:%M}"
