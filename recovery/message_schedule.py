"""Which message a member gets when: pure rules, counted back from the end of the window.

docs/creators/messages.md shows them as a table, docs/decisions says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from recovery.declines import DeclineClass
from recovery.status import UNPAID, ClosedReason, PaymentStatus, Step

HOUR = timedelta(hours=1)
# Between two messages to one member, whatever they are about.
GAP = 20 * HOUR
# What arrives later than this before the end is read too late.
LAST_CALL = 2 * HOUR
BEFORE_END = {Step.REMINDER: 72 * HOUR, Step.LAST_DAY: 24 * HOUR}
# Before the end: when a soft decline is first told of, if its first retry has had its chance, and
# if that retry comes later.
SOFT_FIRST, SOFT_FIRST_LATEST = 84 * HOUR, 48 * HOUR
# From a retry to the news of it.
SETTLING = HOUR
# Before the quiet hours, what cannot wait for the morning.
EVENING = HOUR

ALL_THREE = (Step.PAYMENT_FAILED, Step.REMINDER, Step.LAST_DAY)
FIRST_AND_LAST = (Step.PAYMENT_FAILED, Step.LAST_DAY)
SEQUENCES: dict[DeclineClass, tuple[Step, ...]] = {
    DeclineClass.FUNDS: FIRST_AND_LAST,
    DeclineClass.ISSUER: FIRST_AND_LAST,
    DeclineClass.TECHNICAL: FIRST_AND_LAST,
    DeclineClass.UNKNOWN: FIRST_AND_LAST,
    DeclineClass.AUTHENTICATION: ALL_THREE,
    DeclineClass.CARD: ALL_THREE,
    DeclineClass.BANK_DEBIT: ALL_THREE,
    DeclineClass.FRAUD: (Step.NOTICE,),
    DeclineClass.CONSENT: (Step.NOTICE,),
    DeclineClass.DUPLICATE: (),
    DeclineClass.AMOUNT: (),
    DeclineClass.TEST: (),
}
# Whoever gets one of these may ask for no more.
REMINDERS = frozenset({Step.REMINDER, Step.LAST_DAY})
SOFT = frozenset(cls for cls, steps in SEQUENCES.items() if steps == FIRST_AND_LAST)
# The member can still pay, or is still owed a word.
OPEN_TO_MEMBER = frozenset({ClosedReason.RETRIES_USED, ClosedReason.CONSENT_WITHDRAWN})


@dataclass(frozen=True, slots=True)
class SendingHours:
    """When members are left in peace, by the company's clock. Equal: never."""

    time_zone: str = "UTC"
    quiet_from: int = 0
    quiet_until: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleContext:
    """All that the rules look at. `written`: the steps already used up, sent or not.
    `last_message_at`: of the last message to this member, whatever it was about. `next_try_at`:
    the next charge, whoever makes it; `tried_again`: there was one after the failure.
    """

    decline_class: DeclineClass
    window_ends_at: datetime
    written: frozenset[Step] = frozenset()
    last_message_at: datetime | None = None
    tried_again: bool = False
    next_try_at: datetime | None = None
    hours: SendingHours = SendingHours()


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    step: Step
    at: datetime


def may_write(status: PaymentStatus, closed_reason: ClosedReason | None) -> bool:
    return status in UNPAID or closed_reason in OPEN_TO_MEMBER


def plan_first(
    decline_class: DeclineClass, window_ends_at: datetime, now: datetime
) -> PlannedMessage | None:
    """For a payment that has just become known. It is planned once more when this comes due."""
    return plan_next(ScheduleContext(decline_class, window_ends_at), now)


def plan_next(context: ScheduleContext, now: datetime) -> PlannedMessage | None:
    """What is said next, not before `now`; None: nothing more."""
    for step in SEQUENCES[context.decline_class]:
        if step in context.written or (step is Step.NOTICE and context.written):
            continue
        at = choose_send_time(step, context, now)
        if at is not None:
            return PlannedMessage(step, at)
    return None


def choose_send_time(step: Step, context: ScheduleContext, now: datetime) -> datetime | None:
    """None: its time is over, or so near the next step's that it gives way to it."""
    earliest = now if context.last_message_at is None else max(now, context.last_message_at + GAP)
    at = apply_quiet_hours(
        max(earliest, choose_preferred_time(step, context, now)), earliest, context
    )
    last_day = context.window_ends_at - BEFORE_END[Step.LAST_DAY]
    if at is None:
        return None
    if step is Step.PAYMENT_FAILED and at >= last_day:
        return None
    if step is Step.REMINDER and at > last_day - GAP:
        return None
    return at


def choose_preferred_time(step: Step, context: ScheduleContext, now: datetime) -> datetime:
    """The step's own moment, whatever was said before."""
    if step in BEFORE_END:
        return context.window_ends_at - BEFORE_END[step]
    if context.decline_class not in SOFT:
        return now
    first = context.window_ends_at - SOFT_FIRST
    if context.tried_again or context.next_try_at is None:
        return first
    latest = context.window_ends_at - SOFT_FIRST_LATEST
    return max(first, min(context.next_try_at + SETTLING, latest))


def apply_quiet_hours(
    at: datetime, earliest: datetime, context: ScheduleContext
) -> datetime | None:
    """Out of the quiet hours: in the morning, or, where that is too late, in the evening before."""
    hours, deadline = context.hours, context.window_ends_at - LAST_CALL
    zone = ZoneInfo(hours.time_zone)
    morning = postpone_quiet(at, zone, hours.quiet_from, hours.quiet_until)
    if morning <= deadline:
        return morning
    evening = find_evening(at, zone, hours.quiet_from) - EVENING
    return evening if morning > at and earliest <= evening <= deadline else None


def postpone_quiet(at: datetime, zone: ZoneInfo, quiet_from: int, quiet_until: int) -> datetime:
    """`at`, or the end of the quiet hours that it falls into; whatever the clocks do that night."""
    local = at.astimezone(zone)
    if quiet_from < quiet_until:
        quiet, days = quiet_from <= local.hour < quiet_until, 0
    else:
        late = local.hour >= quiet_from
        quiet = quiet_from != quiet_until and (late or local.hour < quiet_until)
        days = int(late)
    if not quiet:
        return at
    morning = datetime.combine(local.date() + timedelta(days), time(quiet_until), zone)
    return morning.astimezone(UTC)


def find_evening(at: datetime, zone: ZoneInfo, quiet_from: int) -> datetime:
    """When the quiet hours began that `at` falls into."""
    local = at.astimezone(zone)
    day = local.date() - timedelta(local.hour < quiet_from)
    return datetime.combine(day, time(quiet_from), zone).astimezone(UTC)
