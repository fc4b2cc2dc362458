from __future__ import annotations

import ast
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.decline_codes import CODES
from recovery.declines import NEVER_CHARGED_AGAIN, DeclineClass
from recovery.retrying.context import Retry, RetryContext, RetryRules, Why
from recovery.retrying.decisions import NoRetry, NoRetryReason, decide, find_no_retry_reason
from recovery.retrying.good_hours import BEFORE_WHOP, is_payday
from recovery.retrying.policy import CARD_LIMITS, POLICIES
from recovery.retrying.smart import MARGIN, PAUSE, PLANS, PLANS_BY_CODE
from recovery.retrying.whop_habits import WhopHabits

HOUR = timedelta(hours=1)
# A Tuesday, mid-month, mid-afternoon: no payday, weekend or night comes into play by itself.
NOW = datetime(2026, 11, 10, 14, 0, tzinfo=UTC)
HOURLY, SMART = RetryRules(policy="hourly"), RetryRules()
ALLOWS_MORE = WhopHabits(retries=2)


def context(**overrides) -> RetryContext:
    failed_at = overrides.get("failed_at", NOW)
    return RetryContext(
        **{
            "decline_class": DeclineClass.ISSUER,
            "declined_retries": 0,
            "retryable": True,
            "failed_at": failed_at,
            "last_charge_at": failed_at,
            "window_ends_at": failed_at + timedelta(days=5),
        }
        | overrides
    )


# --- what holds for every policy ---------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ({"declined_retries": 3}, NoRetryReason.RETRIES_USED),
        ({"retryable": False}, NoRetryReason.NOT_RETRYABLE),
        ({"decline_class": DeclineClass.FRAUD}, NoRetryReason.FORBIDDEN),
        ({"decline_class": DeclineClass.CONSENT}, NoRetryReason.FORBIDDEN),
        ({"decline_class": DeclineClass.BANK_DEBIT}, NoRetryReason.FORBIDDEN),
        ({"charges": 15, "card_brand": "visa"}, NoRetryReason.CARD_LIMIT),
        ({"charges": 35, "card_brand": "mastercard"}, NoRetryReason.CARD_LIMIT),
        ({"charges": 15, "card_brand": "a new one"}, NoRetryReason.CARD_LIMIT),
        ({"window_ends_at": NOW + HOUR}, NoRetryReason.WINDOW_CLOSED),
    ],
)
def test_no_policy_retries_where_that_is_not_allowed(policy, overrides, why):
    assert decide(context(**overrides), RetryRules(policy=policy), NOW) == NoRetry(why)


@pytest.mark.parametrize("decline_class", sorted(NEVER_CHARGED_AGAIN))
def test_what_is_never_charged_again_is_charged_by_no_policy_and_no_click(decline_class):
    asked = context(decline_class=decline_class)
    for policy in POLICIES:
        rules = RetryRules(policy=policy)
        assert isinstance(decide(asked, rules, NOW), NoRetry)
        assert find_no_retry_reason(asked, rules) is not None


contexts = st.builds(
    lambda failed, last, window, **given: RetryContext(
        failed_at=NOW - failed * HOUR,
        last_charge_at=NOW - min(last, failed) * HOUR,
        window_ends_at=NOW + window * HOUR,
        **given,
    ),
    failed=st.integers(0, 130),
    last=st.integers(0, 130),
    window=st.integers(-50, 120),
    decline_class=st.sampled_from(DeclineClass),
    decline_code=st.none() | st.sampled_from([code for codes in CODES.values() for code in codes]),
    declined_retries=st.integers(0, 6),
    retryable=st.booleans(),
    card_brand=st.none() | st.sampled_from([*CARD_LIMITS, "amex"]),
    charges=st.integers(1, 40),
    whop_next_attempt_at=st.none() | st.integers(-5, 100).map(lambda h: NOW + h * HOUR),
    whop_habits=st.builds(
        WhopHabits,
        st.none() | st.integers(1, 60).map(lambda h: h * HOUR),
        st.none() | st.integers(1, 2),
    ),
    time_zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]),
    spread=st.floats(0, 0.999),
    explores=st.booleans(),
)


@given(contexts, st.sampled_from(sorted(POLICIES)), st.integers(0, 5), st.integers(1, 1440))
def test_whatever_the_situation_a_retry_is_allowed_and_in_time(context, policy, most, minutes):
    rules = RetryRules(policy, timedelta(minutes=minutes), most)
    decision = decide(context, rules, NOW)
    if isinstance(decision, Retry):
        assert decision.at >= NOW
        assert decision.at >= context.last_charge_at + rules.interval
        assert decision.at < context.window_ends_at
        assert context.declined_retries < most
        assert context.retryable
        assert context.decline_class not in NEVER_CHARGED_AGAIN
        assert context.charges < CARD_LIMITS.get(context.card_brand or "", 15)


@given(contexts, st.integers(1, 1440))
def test_the_only_retry_is_never_spent_within_half_a_day_after_a_declined_charge(context, minutes):
    rules = RetryRules(interval=timedelta(minutes=minutes))
    decision = decide(context, rules, NOW)
    if not isinstance(decision, Retry) or not context.is_single:
        return
    assert decision.at >= context.last_charge_at + PAUSE
    whops, gap = context.whop_next_attempt_at, context.whop_habits.gap
    while whops is not None and whops < context.window_ends_at:
        assert not whops <= decision.at < whops + PAUSE
        whops = whops + gap if gap else None


@given(contexts)
def test_smart_charges_by_day_and_the_last_chance_too(context):
    decision = decide(context, SMART, NOW)
    if not isinstance(decision, Retry):
        return
    if context.decline_class is DeclineClass.TECHNICAL and not context.is_single:
        return
    local = decision.at.astimezone(ZoneInfo(context.time_zone)).time()
    long = Why.LAST_CHANCE in decision.why
    assert time(7 if long else 8) <= local < time(22 if long else 21)


@given(contexts)
def test_whatever_is_explored_keeps_every_rule_and_the_chances_add_up(context):
    decision = decide(context, SMART, NOW)
    if not isinstance(decision, Retry):
        return
    listed = dict(decision.possible)
    assert not listed or decision.at in listed
    assert sum(listed.values()) in (0, pytest.approx(1))
    assert all(0 < probability <= 1 for probability in listed.values())
    zone = ZoneInfo(context.time_zone)
    days = {at.astimezone(zone).date() for at in listed}
    assert len(days) <= 1
    for at in listed:
        assert NOW <= at <= context.window_ends_at - MARGIN
        assert at >= context.last_charge_at + (PAUSE if context.is_single else HOUR)
        assert 8 <= at.astimezone(zone).hour < 21


def test_another_hour_is_drawn_as_often_as_is_said():
    asked = {"failed_at": NOW, "explores": True, "time_zone": "UTC"}
    decisions = [decide(context(**asked, spread=n / 5000), SMART, NOW) for n in range(5000)]
    drawn = Counter(one.at for one in decisions if isinstance(one, Retry))
    (first, *_) = decisions
    assert isinstance(first, Retry)
    assert len(first.possible) > 5
    for at, probability in first.possible:
        assert drawn[at] / 5000 == pytest.approx(probability, abs=0.02)
    for one in decisions:
        assert isinstance(one, Retry)
        assert (Why.EXPLORED in one.why) == (one.at != NOW + 26 * HOUR)


def test_nothing_is_explored_until_a_creator_allows_it():
    decision = decide(context(), SMART, NOW)
    assert isinstance(decision, Retry)
    assert Why.EXPLORED not in decision.why
    assert len(decision.possible) <= 1


# --- hourly ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "now", "expected"),
    [
        ({}, NOW, Retry(NOW + HOUR)),  # just failed: an hour from the failed charge
        ({"declined_retries": 2}, NOW, Retry(NOW + HOUR)),  # the last retry that is left
        ({}, NOW + 3 * HOUR, Retry(NOW + 3 * HOUR)),  # heard late: at once
    ],
)
def test_the_hourly_policy_charges_as_often_as_it_may(overrides, now, expected):
    assert decide(context(**overrides), HOURLY, now) == expected


# --- smart -------------------------------------------------------------------------------------


def smart_hours(**overrides) -> float | NoRetryReason:
    """Hours from the failure to the retry, or why there is none."""
    asked = context(**overrides)
    decision = decide(asked, SMART, max(asked.last_charge_at, asked.failed_at))
    if isinstance(decision, NoRetry):
        return decision.why
    return (decision.at - asked.failed_at) / HOUR


@pytest.mark.parametrize(
    ("overrides", "hours"),
    [
        ({}, 26),
        ({"declined_retries": 1, "last_charge_at": NOW + 26 * HOUR}, 74),
        ({"declined_retries": 2, "last_charge_at": NOW + 74 * HOUR}, NoRetryReason.NEEDS_MEMBER),
        # It may be the only one: half a day after Whop's charge, which is 02:00: on to the morning.
        ({"decline_class": DeclineClass.TECHNICAL}, 18),
        ({"decline_class": DeclineClass.TECHNICAL, "whop_habits": ALLOWS_MORE}, 1),
        ({"decline_class": DeclineClass.TECHNICAL, "declined_retries": 1}, 6),
        ({"decline_class": DeclineClass.UNKNOWN}, 50),
        ({"decline_class": DeclineClass.CARD}, NoRetryReason.NEEDS_MEMBER),
        ({"decline_class": DeclineClass.AUTHENTICATION}, NoRetryReason.NEEDS_MEMBER),
        ({"decline_code": "contact_issuer"}, 42),  # 36 hours is 02:00: on to the morning
        ({"decline_code": "restricted_card"}, 50),
    ],
)
def test_the_smart_policy_waits_by_decline_class(overrides, hours):
    assert smart_hours(**overrides) == hours


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo", "Europe/Berlin"])
@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_it_charges_by_day_in_the_companys_own_time_zone(zone, hour):
    failed_at = NOW.replace(hour=hour)
    decision = decide(context(failed_at=failed_at, time_zone=zone, spread=0.5), SMART, failed_at)
    assert isinstance(decision, Retry)
    assert 8 <= decision.at.astimezone(ZoneInfo(zone)).hour < 21


def test_a_technical_error_does_not_wait_for_the_day_where_whop_allows_more_than_one_retry():
    given = {"failed_at": NOW.replace(hour=2), "decline_class": DeclineClass.TECHNICAL}
    assert smart_hours(**given, whop_habits=ALLOWS_MORE) == 1
    assert smart_hours(**given) == 12


def test_lack_of_funds_waits_for_the_payday():
    thursday = datetime(2026, 11, 5, 4, tzinfo=UTC)
    asked = context(failed_at=thursday - 24 * HOUR, decline_class=DeclineClass.FUNDS)
    decision = decide(asked, SMART, asked.failed_at)
    assert decision == Retry(datetime(2026, 11, 6, 9, tzinfo=UTC))  # Friday morning


@pytest.mark.parametrize(
    ("year", "month", "day", "expected"),
    [
        (2026, 11, 6, True),  # a Friday
        (2026, 12, 1, True),
        (2026, 12, 15, True),
        (2026, 11, 30, True),
        (2028, 2, 29, True),
        (2026, 11, 10, False),
    ],
)
def test_paydays_are_fridays_and_the_ends_and_middles_of_months(year, month, day, expected):
    assert is_payday(date(year, month, day)) == expected


def test_the_last_try_for_funds_is_just_before_the_end_not_after_it():
    hours = smart_hours(
        decline_class=DeclineClass.FUNDS,
        declined_retries=2,
        last_charge_at=NOW + 62 * HOUR,
        failed_at=datetime(2026, 11, 9, 14, tzinfo=UTC),
        whop_next_attempt_at=None,
    )
    assert isinstance(hours, float)
    assert 96 <= hours <= 120 - MARGIN / HOUR


@given(st.integers(0, 119), st.integers(0, 23), st.sampled_from(sorted(PLANS)))
def test_it_keeps_six_hours_clear_before_whops_own_attempt(hours, hour, decline_class):
    failed_at = NOW.replace(hour=hour)
    whops = failed_at + hours * HOUR
    asked = context(failed_at=failed_at, decline_class=decline_class, whop_next_attempt_at=whops)
    decision = decide(asked, SMART, failed_at)
    if isinstance(decision, Retry):
        assert not whops - BEFORE_WHOP < decision.at <= whops


@pytest.mark.parametrize(
    ("gap", "retries", "decline_class", "whops", "hours"),
    [
        # Whop tries at 24, 48, 72 and 96, and allows one: half a day after the last.
        (24, 1, DeclineClass.FUNDS, 24, 108),
        (24, 1, DeclineClass.FUNDS, 48, 108),
        (24, 1, DeclineClass.FUNDS, None, 36),  # Whop has stopped trying
        (24, 1, DeclineClass.ISSUER, 24, 36),
        # Not where one of the two is not known, or is otherwise.
        (None, 1, DeclineClass.FUNDS, 96, 36),
        (24, None, DeclineClass.FUNDS, 96, 36),
        (24, 2, DeclineClass.FUNDS, 96, 36),
        (25, 1, DeclineClass.FUNDS, 96, 36),
    ],
)
def test_it_leaves_lack_of_funds_to_whop_only_where_both_of_whops_habits_say_so(
    gap, retries, decline_class, whops, hours
):
    tuesday = datetime(2026, 11, 17, 20, tzinfo=UTC)
    assert hours == smart_hours(
        failed_at=tuesday,
        decline_class=decline_class,
        whop_next_attempt_at=whops and tuesday + whops * HOUR,
        whop_habits=WhopHabits(gap and gap * HOUR, retries),
    )


@pytest.mark.parametrize(
    ("overrides", "hours"),
    [
        ({"decline_class": DeclineClass.FUNDS}, 110),
        ({"decline_class": DeclineClass.TECHNICAL}, 99),
        # It was Whop's, and this may be the only retry.
        ({"decline_class": DeclineClass.FUNDS, "declined_retries": 0}, 110),
        (
            {
                "decline_class": DeclineClass.FUNDS,
                "declined_retries": 0,
                "whop_habits": ALLOWS_MORE,
            },
            99,
        ),
    ],
)
def test_it_pauses_for_half_a_day_after_a_retry_of_its_own(overrides, hours):
    failed_at = datetime(2026, 11, 3, 6, tzinfo=UTC)  # no payday or night comes into play
    last_charge_at = failed_at + 98 * HOUR
    given = {"declined_retries": 1, "failed_at": failed_at, "last_charge_at": last_charge_at}
    assert smart_hours(**given | overrides) == hours


def test_it_never_plans_past_the_margin_before_the_end():
    for last in range(0, 120, 5):
        asked = context(
            decline_class=DeclineClass.FUNDS,
            declined_retries=2,
            last_charge_at=NOW + last * HOUR,
        )
        decision = decide(asked, SMART, NOW + last * HOUR)
        if isinstance(decision, Retry):
            assert decision.at <= asked.window_ends_at - MARGIN


def test_payments_that_failed_together_are_not_all_charged_in_one_minute():
    failed_at = NOW.replace(hour=1)
    decisions = [
        decide(context(failed_at=failed_at, spread=n / 10), SMART, failed_at) for n in range(10)
    ]
    assert len({decision.at for decision in decisions if isinstance(decision, Retry)}) == 10


def test_plans_are_for_codes_and_classes_that_exist_and_may_be_charged():
    known = {code: cls for cls, codes in CODES.items() for code in codes}
    assert set(PLANS_BY_CODE) <= set(known)
    assert {known[code] for code in PLANS_BY_CODE} | set(PLANS) <= (
        set(DeclineClass) - NEVER_CHARGED_AGAIN
    )


CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "time_ns"}
ROOT = Path(__file__).parent.parent
# The edges: they ask what time it is, and pass it down.
EDGES = {"__init__.py", "__main__.py", "embedded.py", "heartbeats.py", "migrate.py", "session.py"}
RULES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("recovery", "db")
    for path in (ROOT / folder).rglob("*.py")
    if path.name not in EDGES and path.parent.name not in {"commands", "versions", "migrations"}
)


@pytest.mark.parametrize("module", RULES)
def test_no_rule_reads_the_clock(module):
    tree = ast.parse((ROOT / module).read_text())
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    clocks = {f"{owner}.{name}" for owner in ("datetime", "time", "date") for name in CLOCKS}
    assert called & clocks == set()
