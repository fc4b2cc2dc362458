"""When members are written to, whatever their story: never too often, too late or by night."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.declines import DeclineClass
from recovery.message_schedule import (
    GAP,
    HOUR,
    LAST_CALL,
    SEQUENCES,
    PlannedMessage,
    ScheduleContext,
    SendingHours,
    plan_next,
)
from recovery.status import Step
from tests.factories import NOW

WINDOW = timedelta(days=5)
CLASSES = st.sampled_from(DeclineClass)
ZONES = st.sampled_from(("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"))
YEAR = timedelta(days=365)  # with every change of the clocks in it
MOMENTS = st.builds(NOW.__add__, st.timedeltas(timedelta(), YEAR))
HOURS = st.builds(SendingHours, ZONES, st.integers(0, 23), st.integers(0, 23))
DELAYS = st.timedeltas(timedelta(), WINDOW + timedelta(days=1))


@st.composite
def contexts(draw: st.DrawFn) -> tuple[ScheduleContext, datetime]:
    """And the moment at which it is planned."""
    failed_at = draw(MOMENTS)
    context = ScheduleContext(
        decline_class=draw(CLASSES),
        window_ends_at=failed_at + WINDOW,
        written=draw(st.frozensets(st.sampled_from(Step))),
        last_message_at=draw(st.none() | st.builds(failed_at.__add__, DELAYS)),
        tried_again=draw(st.booleans()),
        next_try_at=draw(st.none() | st.builds(failed_at.__add__, DELAYS)),
        hours=draw(HOURS),
    )
    return context, failed_at + draw(DELAYS)


def is_quiet(at: datetime, hours: SendingHours) -> bool:
    hour = at.astimezone(ZoneInfo(hours.time_zone)).hour
    if hours.quiet_from <= hours.quiet_until:
        return hours.quiet_from <= hour < hours.quiet_until
    return hour >= hours.quiet_from or hour < hours.quiet_until


def live(context: ScheduleContext, now: datetime) -> list[PlannedMessage]:
    """All that is said from now on if nothing else happens: looked at when it is due, as the daemon
    does."""
    said: list[PlannedMessage] = []
    while (planned := plan_next(context, now)) is not None:
        now = planned.at
        said.append(planned)
        context = replace(context, written=context.written | {planned.step}, last_message_at=now)
    return said


@given(contexts())
def test_nothing_is_planned_for_the_past_or_for_the_last_hours_or_by_night(told):
    context, now = told
    planned = plan_next(context, now)
    if planned is not None:
        assert now <= planned.at <= context.window_ends_at - LAST_CALL
        assert not is_quiet(planned.at, context.hours)


@given(contexts())
def test_two_messages_to_a_member_keep_their_distance(told):
    context, now = told
    times = [planned.at for planned in live(context, now)]
    if context.last_message_at is not None:
        times.insert(0, context.last_message_at)
    assert all(later - earlier >= GAP for earlier, later in pairwise(times))


@given(contexts())
def test_steps_come_in_their_order_and_once(told):
    context, now = told
    steps = [planned.step for planned in live(context, now)]
    wanted = [step for step in SEQUENCES[context.decline_class] if step not in context.written]
    assert steps == [step for step in wanted if step in steps]


@given(contexts())
def test_where_nothing_may_be_asked_there_is_one_notice_or_nothing(told):
    context, now = told
    said = [planned.step for planned in live(context, now)]
    if Step.NOTICE in SEQUENCES[context.decline_class]:
        assert said in ([], [Step.NOTICE])
        assert not (said and context.written)
    if not SEQUENCES[context.decline_class]:
        assert said == []


@given(contexts())
def test_what_is_planned_is_still_right_when_it_is_due(told):
    """Looking again changes nothing as long as nothing has happened."""
    context, now = told
    planned = plan_next(context, now)
    if planned is not None:
        assert plan_next(context, planned.at) == planned


@pytest.mark.parametrize(
    ("failed_at", "first"),
    [
        # In Berlin the clocks go forward on March 29 and back on October 25, at one o'clock UTC.
        (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 3, 29, 6, tzinfo=UTC)),
        (datetime(2026, 3, 27, 22, tzinfo=UTC), datetime(2026, 3, 28, 7, tzinfo=UTC)),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 7, tzinfo=UTC)),
        (datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 24, 6, tzinfo=UTC)),
    ],
)
def test_morning_is_at_eight_whatever_the_clocks_did_in_the_night(failed_at, first):
    hours = SendingHours("Europe/Berlin", 21, 8)
    context = ScheduleContext(DeclineClass.CARD, failed_at + WINDOW, hours=hours)
    assert plan_next(context, failed_at) == PlannedMessage(Step.PAYMENT_FAILED, first)


def test_what_would_come_too_late_in_the_morning_comes_in_the_evening_before():
    """The window ends at six; at eight there is nothing left to say."""
    ends = datetime(2026, 11, 25, 6, tzinfo=UTC)
    context = ScheduleContext(DeclineClass.CARD, ends, hours=SendingHours("UTC", 21, 8))
    at = ends - timedelta(days=1)
    assert plan_next(
        replace(context, written=frozenset({Step.PAYMENT_FAILED})), at
    ) == PlannedMessage(Step.LAST_DAY, datetime(2026, 11, 24, 8, tzinfo=UTC))
    late = datetime(2026, 11, 24, 20, tzinfo=UTC)
    told = replace(
        context, last_message_at=late - GAP - HOUR, written=frozenset({Step.PAYMENT_FAILED})
    )
    assert plan_next(told, late) == PlannedMessage(Step.LAST_DAY, late)


def test_a_soft_decline_is_silent_until_its_first_retry_has_had_its_chance():
    context = ScheduleContext(DeclineClass.FUNDS, NOW + WINDOW, next_try_at=NOW + 50 * HOUR)
    assert plan_next(context, NOW) == PlannedMessage(Step.PAYMENT_FAILED, NOW + 51 * HOUR)
    tried = replace(context, tried_again=True)
    assert plan_next(tried, NOW) == PlannedMessage(Step.PAYMENT_FAILED, NOW + 36 * HOUR)
