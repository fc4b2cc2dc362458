"""How Whop treats payments is seen and not assumed: its gap between tries, and how many retries of
ours it allows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.company_settings.recovery import find_recovery_settings
from db.ledger import whop_habits
from recovery.retrying.context import RetryRules
from recovery.retrying.whop_habits import (
    LEAST_GAP,
    UNKNOWN_HABITS,
    Answer,
    Gap,
    WhopHabits,
    observe,
)
from tests.factories import COMPANY
from tests.rig import Rig

HOUR = timedelta(hours=1)


def gaps(*hours: float, members: int = 5) -> list[Gap]:
    return [Gap(f"member {n % members}", one * HOUR) for n, one in enumerate(hours)]


def answers(*retryable: bool, members: int = 5) -> list[Answer]:
    return [Answer(f"member {n % members}", one) for n, one in enumerate(retryable)]


# --- what is known of what was seen ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "gap"),
    [
        (gaps(*[24] * 20), 24),
        (gaps(*[24] * 19), None),  # too few
        (gaps(*[24] * 40, members=4), None),  # of too few members
        (gaps(*[24] * 18, 1, 400), 24),  # one odd payment does not decide
        (gaps(*[24, 48, 47] * 10), 47),
        (gaps(*[0.1] * 20), None),  # no plan of Whop's
    ],
)
def test_the_gap_is_known_from_twenty_of_five_members(seen, gap):
    assert observe(seen, []).gap == (gap and gap * HOUR)


@pytest.mark.parametrize(
    ("seen", "retries"),
    [
        (answers(*[False] * 20), 1),
        (answers(*[True] * 20), 2),
        (answers(*[False] * 19), None),
        (answers(*[False] * 40, members=4), None),
        (answers(*[False] * 19, True), 1),  # a member left meanwhile
        (answers(*[True, False] * 10), None),  # now so, now so
    ],
)
def test_the_allowance_is_known_from_twenty_answers_of_five_members(seen, retries):
    assert observe([], seen).retries == retries


@given(
    st.lists(st.builds(Gap, st.text(max_size=2), st.timedeltas(timedelta(0), timedelta(days=9)))),
    st.lists(st.builds(Answer, st.text(max_size=2), st.booleans())),
)
def test_whatever_was_seen_is_a_gap_that_exists_and_one_or_two_retries_or_unknown(seen, told):
    habits = observe(seen, told)
    if habits.gap is not None:
        lengths = [gap.length for gap in seen]
        assert min(lengths) <= habits.gap <= max(lengths)
        assert habits.gap >= LEAST_GAP
    assert habits.retries in (None, 1, 2)


# --- seen in the ledger ---------------------------------------------------------------------------


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    return Rig(sessions, tmp_path, rules=RetryRules())


def live(rig: Rig, days: int, **switches: object) -> None:
    for name, value in switches.items():
        setattr(rig.world.switches, name, value)
    for hour in range(24 * days):
        if hour % 6 == 0:
            rig.fail(*["generic_decline"] * 9)
        rig.run()


def find_habits(rig: Rig, method: str = "card") -> WhopHabits:
    with rig.sessions.begin() as session:
        whop_habits.observe_company(session, COMPANY, rig.clock.now)
    with rig.sessions() as session:
        return find_recovery_settings(session, COMPANY).find_habits(method)


@pytest.mark.parametrize(
    ("hours", "limit", "expected"),
    [
        ((24, 48, 72, 96), 1, WhopHabits(24 * HOUR, 1)),
        ((24, 48, 72, 96), 3, WhopHabits(24 * HOUR, 2)),
        ((48, 96), 1, WhopHabits(48 * HOUR, 1)),
        ((12, 36, 60, 84, 108), 3, WhopHabits(24 * HOUR, 2)),
        ((), 3, WhopHabits(None, 2)),
    ],
)
def test_both_readings_of_whop_are_seen_within_days(rig: Rig, hours, limit, expected):
    live(rig, days=9, whop_attempts_after_hours=hours, retry_limit=limit)
    assert find_habits(rig) == expected
    assert find_habits(rig, "paypal") == UNKNOWN_HABITS


def test_a_charge_of_ours_between_two_of_whops_is_no_gap_and_old_ones_are_forgotten(rig: Rig):
    live(rig, days=8, whop_attempts_after_hours=(24, 48), retry_limit=3)
    assert find_habits(rig).gap == 24 * HOUR
    rig.clock.now += timedelta(days=31)
    assert find_habits(rig) == UNKNOWN_HABITS


def test_a_company_is_looked_at_once_a_day_and_its_plans_follow(rig: Rig):
    """Lack of funds is left to Whop from then on, and not before."""
    first = rig.fail("insufficient_funds", *["insufficient_funds"] * 9)
    early = rig.payment(first).next_retry_at
    assert early is not None
    assert early < rig.clock.now + 50 * HOUR
    live(rig, days=9, retry_limit=1)
    with rig.sessions() as session:
        assert find_recovery_settings(session, COMPANY).find_habits("card").retries == 1
        assert whop_habits.list_unobserved(session, rig.clock.now) == []
        assert whop_habits.list_unobserved(session, rig.clock.now + 25 * HOUR) == [COMPANY]
    then = rig.fail("insufficient_funds", *["insufficient_funds"] * 9)
    planned = rig.payment(then).next_retry_at
    assert planned is not None
    assert planned - rig.clock.now > 96 * HOUR
