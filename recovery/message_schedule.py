"""Which message a member gets, and when, counted back from the end of the window. Pure.

docs/creators/messages.md shows the rules as a table, docs/decisions/README.md the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from recovery.declines import DeclineClass
from recovery.status import UNPAID, ClosedReason, PaymentStatus, Step

HOUR = timedelta(hours=1)
# Least time between two messages to one member, whatever they are about.
GAP = 20 * HOUR
# No message this close to the end of the window: it would be read too late.
LAST_CALL = 2 * HOUR
BEFORE_END = {Step.REMINDER: 72 * HOUR, Step.LAST_DAY: 24 * HOUR}
# The first message about a soft decline, this long before the end of the window: once the first
# retry is over, or, where that retry comes later, at the latest.
SOFT_FIRST, SOFT_FIRST_LATEST = 84 * HOUR, 48 * HOUR
# From a retry until its outcome is known.
SETTLING = HOUR
# What cannot wait for the morning is sent this long before the quiet hours.
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
# These carry the link to unsubscribe.
REMINDERS = frozenset({Step.REMINDER, Step.LAST_DAY})
SOFT = frozenset(cls for cls, steps in SEQUENCES.items() if steps == FIRST_AND_LAST)
# Closed payments that the member can still pay, or should still hear about.
OPEN_TO_MEMBER = frozenset({ClosedReason.RETRIES_USED, ClosedReason.CONSENT_WITHDRAWN})


@dataclass(frozen=True, slots=True)
class SendingHours:
    """Quiet hours, in the company's time zone. Equal hours: no quiet hours."""

    time_zone: str = "UTC"
    quiet_from: int = 0
    quiet_until: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleContext:
    """Everything the rules look at.

    `written`: the steps already used, sent or not. `last_message_at`: the last message to this
    member about anything. `next_try_at`: the next charge, ours or Whop's. `tried_again`: there was
    a charge after the failure.
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
    """For a payment that has just become known. `plan_next` decides again when this comes due."""
    return plan_next(ScheduleContext(decline_class, window_ends_at), now)


def plan_next(context: ScheduleContext, now: datetime) -> PlannedMessage | None:
    """The next message, not before `now`. None: there is none."""
    if Step.NOTICE in context.written:  # a notice is the last word, whatever is answered later
        return None
    for step in SEQUENCES[context.decline_class]:
        if step in context.written or (step is Step.NOTICE and context.written):
            continue
        at = choose_send_time(step, context, now)
        if at is not None:
            return PlannedMessage(step, at)
    return None


def choose_send_time(step: Step, context: ScheduleContext, now: datetime) -> datetime | None:
    """None: it is too late for this step, or the next step is so near that it takes its place."""
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
    """The step's own time, whatever was sent before."""
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
    """`at`, moved out of the quiet hours: to the morning, or to the evening before where the
    morning is too late. None: neither is possible."""
    hours, deadline = context.hours, context.window_ends_at - LAST_CALL
    zone = ZoneInfo(hours.time_zone)
    morning = postpone_quiet(at, zone, hours.quiet_from, hours.quiet_until)
    if morning <= deadline:
        return morning
    evening = find_evening(at, zone, hours.quiet_from) - EVENING
    return evening if morning > at and earliest <= evening <= deadline else None


def foretell_departure(
    planned: PlannedMessage, context: ScheduleContext, full_until: datetime | None
) -> PlannedMessage | None:
    """When a message that is due then really leaves. None: too late, so never.

    `full_until`: today's daily limit is used up, and messages go on then; None: it is not.
    """
    hours, at = context.hours, planned.at
    if full_until is not None and at < full_until:
        at = full_until
    zone = ZoneInfo(hours.time_zone)
    at = postpone_quiet(at, zone, hours.quiet_from, hours.quiet_until)
    return PlannedMessage(planned.step, at) if at <= context.window_ends_at - LAST_CALL else None


def postpone_quiet(at: datetime, zone: ZoneInfo, quiet_from: int, quiet_until: int) -> datetime:
    """`at`, or the end of the quiet hours it falls into, also across a change of the clocks."""
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
    """The start of the quiet hours that `at` falls into."""
    local = at.astimezone(zone)
    day = local.date() - timedelta(local.hour < quiet_from)
    return datetime.combine(day, time(quiet_from), zone).astimezone(UTC)
