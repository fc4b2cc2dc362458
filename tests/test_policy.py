from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import db
from db.declines import NEVER_CHARGED_AGAIN, DeclineClass
from db.policy import NoRetry, Retry, Settings, Situation, WhyNot, decide_hourly
from tests.factories import NOW

HOUR = timedelta(hours=1)


def situation(**overrides) -> Situation:
    return Situation(
        **{
            "decline_class": DeclineClass.FUNDS,
            "declined_retries": 0,
            "retryable": True,
            "last_charge_at": NOW,
            "window_ends_at": NOW + timedelta(days=5),
        }
        | overrides
    )


@pytest.mark.parametrize(
    ("overrides", "now", "expected"),
    [
        ({}, NOW, Retry(NOW + HOUR)),  # just failed: an hour from the failed charge
        ({"declined_retries": 2}, NOW, Retry(NOW + HOUR)),  # the last retry that is left
        ({"declined_retries": 3}, NOW, NoRetry(WhyNot.RETRIES_USED)),
        ({"retryable": False}, NOW, NoRetry(WhyNot.NOT_RETRYABLE)),
        ({"decline_class": DeclineClass.FRAUD}, NOW, NoRetry(WhyNot.FORBIDDEN)),
        ({}, NOW + 3 * HOUR, Retry(NOW + 3 * HOUR)),  # heard late: at once
        ({"window_ends_at": NOW + HOUR}, NOW, NoRetry(WhyNot.WINDOW_CLOSED)),  # no time left
    ],
)
def test_the_hourly_policy_decides(overrides, now, expected):
    assert decide_hourly(situation(**overrides), Settings(), now) == expected


situations = st.builds(
    Situation,
    decline_class=st.sampled_from(DeclineClass),
    declined_retries=st.integers(0, 6),
    retryable=st.booleans(),
    last_charge_at=st.integers(-200, 0).map(lambda h: NOW + h * HOUR),
    window_ends_at=st.integers(-50, 120).map(lambda h: NOW + h * HOUR),
)


@given(situations, st.integers(0, 5), st.integers(1, 1440))
def test_whatever_the_situation_a_retry_is_allowed_and_in_time(situation, most, minutes):
    rules = Settings(timedelta(minutes=minutes), most)
    decision = decide_hourly(situation, rules, NOW)
    if isinstance(decision, Retry):
        assert decision.at >= NOW
        assert decision.at >= situation.last_charge_at + rules.interval
        assert decision.at < situation.window_ends_at
        assert situation.declined_retries < most
        assert situation.retryable
        assert situation.decline_class not in NEVER_CHARGED_AGAIN


CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "time_ns"}
RULES = ("status", "declines", "policy", "payments", "attempts", "claims", "events", "outbox")


@pytest.mark.parametrize("module", RULES)
def test_no_rule_reads_the_clock(module):
    tree = ast.parse((Path(db.__file__).parent / f"{module}.py").read_text())
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert called & CLOCKS == set()
