"""What happens next with a payment: one answer, in whatever state it is, and true words for it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dashboard.text.next_step import describe_next, explain_next, list_plans
from dashboard.text.state import TONES, Tone, describe_state
from recovery.action_required import ACTORS, LeadAction, Need, NextStepKind
from recovery.declines import DeclineClass
from recovery.labels import NEXT_STEPS
from recovery.message_schedule import PlannedMessage
from recovery.next_step import NextStep, Situation, find_next_step
from recovery.retrying.decisions import NoRetryReason
from recovery.standing import Hold
from recovery.status import (
    UNPAID,
    ChargeMethod,
    ClosedReason,
    PaymentStatus,
    RequestKind,
    Step,
    Trigger,
)
from tests.factories import HOUR, NOW

KOLKATA = ZoneInfo("Asia/Kolkata")
WAITING = Situation(
    status=PaymentStatus.FAILED,
    decline_class=DeclineClass.FUNDS,
    window_ends_at=NOW + 120 * HOUR,
)
PENDING = {"status": PaymentStatus.PENDING_RETRY, "next_retry_at": NOW + timedelta(minutes=12)}
OVER = {"status": PaymentStatus.PERMANENT_FAIL, "closed_reason": ClosedReason.RETRIES_USED}
WRITTEN = {"message": PlannedMessage(Step.REMINDER, NOW + 30 * HOUR)}


def look(**columns: Any) -> NextStep:
    return find_next_step(replace(WAITING, **columns), NOW)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (PENDING, "Retry scheduled in 12 min"),
        (PENDING | {"next_retry_at": NOW}, "Retry scheduled due now"),
        (PENDING | {"claimed_until": NOW + HOUR}, "Charging now"),
        (PENDING | {"claimed_until": NOW}, "Retry scheduled in 12 min"),
        (PENDING | {"requested": RequestKind.STOP}, "Stopping"),
        (PENDING | {"requested": RequestKind.RETRY_NOW}, "Charging within a minute"),
        (
            PENDING | {"next_retry_at": NOW, "trigger": Trigger.CREATOR},
            "Charging within a minute",
        ),
        ({"unsettled": True}, "Confirming the charge"),
        ({"status": PaymentStatus.RECOVERED}, "Recovered"),
        ({}, "Waiting for the member"),
        ({"whop_next_attempt_at": NOW + HOUR}, "Waiting for Whop"),
        ({"whop_next_attempt_at": NOW}, "Waiting for the member"),
        ({"need": Need.AMOUNT}, "Needs you"),
        ({"hold": Hold.PAUSED}, "On hold paused on Whop"),
        ({"window_ends_at": NOW}, "Closing"),
        (OVER, "Not recovered all retries declined"),
    ],
)
def test_the_pill_says_how_it_stands(columns: dict[str, Any], words: str) -> None:
    state = describe_state(look(**columns), NOW)
    assert f"{state.words} {state.detail}".strip() == words


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (PENDING, "We retry on Fri 20 Nov, 14:57"),
        (
            PENDING | {"charge_method": ChargeMethod.BACKUP_CARD},
            "We retry with the backup card on Fri 20 Nov, 14:57",
        ),
        (PENDING | {"next_retry_at": NOW}, "We retry within the hour"),
        (PENDING | {"claimed_until": NOW + HOUR}, "We are charging now"),
        ({}, "Deadline Wed 25 Nov, 14:45"),
        ({"whop_next_attempt_at": NOW + 3 * HOUR}, "Whop retries on Fri 20 Nov, 17:45"),
        ({"whop_next_attempt_at": NOW - HOUR}, "Deadline Wed 25 Nov, 14:45"),
        ({"need": Need.AMOUNT}, "Correct the plan's price on Whop"),
        (WRITTEN, "We write to the member on Sat 21 Nov, 20:45"),
        ({"message": PlannedMessage(Step.REMINDER, NOW)}, "We write to the member shortly"),
        (OVER | WRITTEN, "We write to the member on Sat 21 Nov, 20:45"),
        (OVER, ""),
        ({"status": PaymentStatus.RECOVERED}, ""),
        ({"window_ends_at": NOW}, "We close it within the hour"),
    ],
)
def test_it_says_who_does_what_next_in_the_creator_s_time(
    columns: dict[str, Any], words: str
) -> None:
    assert describe_next(look(**columns), NOW, KOLKATA) == words


@pytest.mark.parametrize("reason", ClosedReason)
def test_it_says_why_each_payment_was_given_up(reason: ClosedReason) -> None:
    closed = describe_state(look(**OVER | {"closed_reason": reason}), NOW)
    assert closed.detail
    assert closed.tone is Tone.OVER


@pytest.mark.parametrize("reason", NoRetryReason)
def test_it_says_in_words_why_nothing_is_charged(reason: NoRetryReason) -> None:
    said = explain_next(look(no_retry=reason), NOW, KOLKATA)
    assert f"We do not retry: {reason}." in said
    assert " " in reason
    assert "_" not in reason


@pytest.mark.parametrize(
    ("columns", "lead"),
    [
        ({"can_retry": True}, LeadAction.RETRY),
        ({"can_retry": True, "decline_class": DeclineClass.CARD}, LeadAction.OPEN_ON_WHOP),
        (
            {"can_retry": True, "decline_class": DeclineClass.AUTHENTICATION, "has_address": True},
            LeadAction.WRITE,
        ),
        ({"decline_class": DeclineClass.FRAUD, "has_address": True}, LeadAction.WRITE),
        ({"has_address": True}, LeadAction.WRITE),
        ({"need": Need.AMOUNT, "has_address": True, "can_retry": True}, LeadAction.OPEN_ON_WHOP),
        ({"decline_class": DeclineClass.CONSENT, "has_address": True}, None),
        ({"held_out": True, "has_address": True}, None),
        (OVER | {"has_address": True}, None),
        ({"requested": RequestKind.STOP, "can_retry": True}, None),
        (PENDING | {"can_retry": True}, LeadAction.RETRY),
    ],
)
def test_the_lead_action_is_what_helps(columns: dict[str, Any], lead: LeadAction | None) -> None:
    assert look(**columns).lead is lead


def test_every_kind_has_its_words_its_tone_and_whoever_acts() -> None:
    assert set(NEXT_STEPS) == set(TONES) == set(ACTORS) == set(NextStepKind)


# --- every situation ---------------------------------------------------------------------------

MOMENTS = (None, NOW - HOUR, NOW, NOW + 5 * HOUR)
SITUATIONS = some.builds(
    Situation,
    status=some.sampled_from(PaymentStatus),
    decline_class=some.sampled_from(DeclineClass),
    window_ends_at=some.sampled_from([NOW - HOUR, NOW, NOW + 60 * HOUR]),
    closed_reason=some.sampled_from([None, *ClosedReason]),
    next_retry_at=some.sampled_from(MOMENTS),
    charge_method=some.sampled_from(ChargeMethod),
    trigger=some.sampled_from([Trigger.SCHEDULE, Trigger.CREATOR]),
    claimed_until=some.sampled_from(MOMENTS),
    unsettled=some.booleans(),
    whop_next_attempt_at=some.sampled_from(MOMENTS),
    requested=some.sampled_from([None, RequestKind.STOP, RequestKind.RETRY_NOW]),
    need=some.sampled_from([None, *Need]),
    message=some.sampled_from(
        [None, PlannedMessage(Step.NOTICE, NOW), PlannedMessage(Step.REMINDER, NOW + 9 * HOUR)]
    ),
    silence=some.sampled_from([None, "no email address is known"]),
    hold=some.sampled_from([None, *Hold]),
    no_retry=some.sampled_from([None, *NoRetryReason]),
    has_address=some.booleans(),
    held_out=some.booleans(),
    can_retry=some.booleans(),
    can_stop=some.booleans(),
)


def list_times(step: NextStep) -> list[datetime]:
    """All but the message's: one that is due leaves shortly."""
    charge_at = step.charge.at if step.charge else None
    return [at for at in (charge_at, step.whop_at, step.deadline) if at is not None]


@given(SITUATIONS)
def test_no_time_is_over_and_no_plan_is_told_that_will_not_be_kept(situation: Situation) -> None:
    step = find_next_step(situation, NOW)
    assert all(at > NOW for at in list_times(step))
    plans = list(list_plans(step, NOW, membership=True))
    assert all(plan.at is None or plan.at > NOW for plan in plans)
    if step.kind in (NextStepKind.STOPPING, NextStepKind.CLOSING):
        assert plans == []
    if step.kind is NextStepKind.ON_HOLD:
        assert (step.charge, step.whop_at, step.message) == (None, None, None)
    if situation.status not in UNPAID:
        assert (step.can_retry, step.can_stop) == (False, False)


@given(SITUATIONS)
def test_list_story_and_timeline_say_the_same(situation: Situation) -> None:
    step = find_next_step(situation, NOW)
    cell, story = describe_next(step, NOW, KOLKATA), explain_next(step, NOW, KOLKATA)
    times = set(re.findall(r"\d+ \w{3}, \d\d:\d\d", cell))
    assert times <= set(re.findall(r"\d+ \w{3}, \d\d:\d\d", story)) or (
        step.kind is NextStepKind.NOT_RECOVERED
    )
    planned = {plan.at for plan in list_plans(step, NOW, membership=False)}
    assert step.at is None or step.at in planned or step.at <= NOW


@given(SITUATIONS)
def test_nothing_said_contradicts_itself(situation: Situation) -> None:
    step = find_next_step(situation, NOW)
    said = f"{describe_next(step, NOW, KOLKATA)} {explain_next(step, NOW, KOLKATA)}"
    assert not ("We do not retry" in said and "We retry" in said)
    assert not ("We do not write" in said and "We write" in said)
    assert not ("Write to the member on Whop" in said and "We write" in said) or (
        step.need is Need.UNREACHED
    )
    assert "creator" not in said
    assert "_" not in said
    assert "None" not in said


@pytest.mark.parametrize(
    ("status", "requested"), list(product(sorted(UNPAID), (None, *RequestKind)))
)
def test_a_click_changes_the_pill_at_once(
    status: PaymentStatus, requested: RequestKind | None
) -> None:
    kind = look(status=status, next_retry_at=NOW + HOUR, requested=requested).kind
    expected = {
        RequestKind.STOP: NextStepKind.STOPPING,
        RequestKind.RETRY_NOW: NextStepKind.CHARGE_REQUESTED,
    }
    if requested in expected:
        assert kind is expected[requested]
    else:
        assert kind in (NextStepKind.RETRY, NextStepKind.MEMBER)
