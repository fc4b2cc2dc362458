"""docs/creators/messages.md tells when each message is sent; here is what the rules say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from recovery.declines import DeclineClass
from recovery.message_schedule import (
    BEFORE_END,
    GAP,
    HOUR,
    LAST_CALL,
    SEQUENCES,
    SOFT_FIRST_LATEST,
    PlannedMessage,
    ScheduleContext,
    plan_next,
)
from recovery.status import MessageState, Step
from tests.factories import NOW

PAGE = (Path(__file__).parent.parent / "docs" / "creators" / "messages.md").read_text()
COLUMNS = (Step.PAYMENT_FAILED, Step.REMINDER, Step.LAST_DAY, Step.NOTICE)
ENDS = NOW + timedelta(days=5)


def describe(decline_class: DeclineClass, step: Step) -> str:
    if step not in SEQUENCES[decline_class]:
        return "never"
    if step in BEFORE_END:
        return f"{BEFORE_END[step] // HOUR} hours before the end"
    planned = plan_next(ScheduleContext(decline_class, ENDS), NOW)
    assert planned is not None
    if planned == PlannedMessage(step, NOW):
        return "at once"
    return f"{(ENDS - planned.at) // HOUR} hours before the end"


@pytest.mark.parametrize("decline_class", DeclineClass)
def test_the_table_says_when_each_class_is_told_what(decline_class):
    cells = [f"`{decline_class}`", *(describe(decline_class, step) for step in COLUMNS)]
    assert f"| {' | '.join(cells)} |\n" in PAGE


def test_the_words_beside_it_give_the_same_hours():
    words = " ".join(PAGE.split())
    assert f"at least {GAP // HOUR} hours apart" in words
    assert f"no later than {SOFT_FIRST_LATEST // HOUR} hours before the end" in words
    assert LAST_CALL == 2 * HOUR
    assert "in the last two hours before the end" in words


def test_every_end_of_a_message_is_explained():
    ends = set(MessageState) - {MessageState.QUEUED, MessageState.SENDING}
    assert [end for end in ends if f"`{end}`" not in PAGE] == []
