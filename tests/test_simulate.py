from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from db.models import Attempt, WebhookEvent
from db.session import session_factory
from recovery.declines import DeclineClass
from recovery.retrying.context import Retry
from recovery.retrying.decisions import NoRetry, NoRetryReason, decide
from recovery.retrying.policy import POLICIES
from recovery.status import OUR_TRIGGERS
from sandbox.model import bank
from sandbox.model.assumptions import PAY_FREQUENCIES, SOURCES, Assumptions, Odds
from sandbox.model.levels import LEVELS, MIDDLE
from sandbox.model.pace import HISTORY
from sandbox.model.people import draw_card
from sandbox.model.population import CODES
from sandbox.model.records import PAID, By, Charge
from sandbox.simulate.__main__ import read_arguments
from sandbox.simulate.bands import BANDS
from sandbox.simulate.breaches import count_breaches
from sandbox.simulate.figures import (
    CHARGES,
    OURS,
    RECOVERED,
    Estimate,
    Sums,
    compare,
    estimate,
    resample,
    spread,
)
from sandbox.simulate.laboratory import empty
from sandbox.simulate.many_creators import describe_agreement
from sandbox.simulate.quick import count_agreeing, run_quickly
from sandbox.simulate.report import Comparison, assess, show_assumptions, show_schedules
from sandbox.simulate.schedules import COMPARED, SCHEDULES, enter_schedules, rules_for
from sandbox.simulate.study import Study
from sandbox.simulate.trial import Case, Trial, run_trial
from sandbox.world.world import World
from tests.soak import at_length, choose_seed
from tests.test_policy import context

pytestmark = pytest.mark.slow

# Of a creator who sells to consumers: Recurly's 2014-2016 study, tilted to debit cards.
SHARE_BANDS = {
    "funds": (0.30, 0.40),
    "generic": (0.25, 0.35),
    "do_not_honor": (0.08, 0.15),
    "technical": (0.03, 0.06),
    "expired": (0.06, 0.10),
    "invalid": (0.05, 0.08),
    "lost_or_fraud": (0.05, 0.07),
    "authentication": (0.03, 0.06),
}
ROOT = Path(__file__).parent.parent
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SMALL = Study(
    choose_seed(1), 1, at_length(2), ("middle",), ("smart", "whop"), (3,), (24, 48, 72, 96), many=2
)

Live = Callable[[Trial], list[Case]]


@pytest.fixture(scope="module")
def live(migrated_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Runs a trial in an empty database, each only once."""
    done: dict[Trial, list[Case]] = {}
    policies = dict(POLICIES)
    enter_schedules()

    def run(trial: Trial) -> list[Case]:
        if trial not in done:
            empty(migrated_engine)
            folder = tmp_path_factory.mktemp("trial")
            done[trial] = run_trial(trial, session_factory(migrated_engine), folder)
            empty(migrated_engine)
        return done[trial]

    yield run
    POLICIES.clear()
    POLICIES.update(policies)


def charge(by: By, outcome: str, hours: float = 0.0) -> Charge:
    at = START + hours * HOUR
    return Charge("pay_1", at, by, outcome, Decimal(10), Decimal(10), "usd")


def case(*charges: Charge, usd: int = 10, **overrides) -> Case:
    given: dict[str, Any] = {
        "payment_id": "pay_1",
        "usd": Decimal(usd),
        "card": draw_card(Random(1), "card", START),
        "charges": charges or (charge("whop", "generic_decline"),),
        "messages": 0,
        "left": False,
    }
    return Case(**given | overrides)


FAILED = charge("whop", "generic_decline")
PAID_BY_US = case(FAILED, charge("retry", PAID, 26), usd=10, messages=1)
PAID_BY_WHOP = case(FAILED, charge("retry", "generic_decline", 6), charge("whop", PAID, 24), usd=30)
UNPAID = case(FAILED, charge("retry", "generic_decline", 26), usd=60, messages=2, left=True)


# --- the same draws, through the real code ------------------------------------------------------


@pytest.mark.soak
def test_the_same_seed_gives_the_same_report_in_whatever_process(live):
    quick = {trial: run_quickly(trial) for trial in SMALL.many_creators.trials()}
    here = SMALL.write({trial: live(trial) for trial in SMALL.trials()}, quick)

    given = [*SMALL.command.split()[3:], "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.simulate", *given], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == here + "\n"
    assert "3 of 3: " in done.stderr
    assert f"Made by `python -m sandbox.simulate --seed {SMALL.seed} " in here


def test_another_seed_draws_other_failures(live):
    first, second = (live(Trial("whop", "middle", creator, 2)) for creator in (101, 102))
    assert {case.payment_id for case in first} & {case.payment_id for case in second} == set()


@pytest.mark.parametrize("policy", ["hourly", "woocommerce", "whop"])
def test_every_policy_meets_the_same_failures(live, policy):
    def met(policy: str) -> list[object]:
        cases = live(Trial(policy, "middle", 101, 2))
        return [(case.payment_id, case.usd, case.card, case.charges[0]) for case in cases]

    assert met(policy) == met("smart")


def test_what_a_bank_says_at_an_hour_does_not_depend_on_how_often_it_was_asked():
    random, kept = Random(4), replace(MIDDLE, trust_kept=1.0)
    for _ in range(100):
        story = bank.draw_scenario(random, kept, "generic_decline", START)
        at = START + random.uniform(1, 119) * HOUR
        said = {bank.decide(story, "generic_decline", at, n, HISTORY) for n in (2, 3, 9)}
        assert len(said) == 1


def test_what_a_mail_moves_a_member_to_does_not_depend_on_other_mails():
    def plans(before: int, after: int) -> list[object]:
        """When the last hundred pay, if mails go to the first `before` and to all from `after`."""
        world = World(seed=3)
        payments = [world.fail_renewal(START) for _ in range(200)]
        for payment_id in payments[:before] + payments[after:]:
            world.mail_arrives(payment_id, START + HOUR)
        return [world.store.planned("member_pays", payment_id) for payment_id in payments[100:]]

    assert plans(0, 100) == plans(40, 100)
    assert plans(0, 100) != plans(0, 200)


@pytest.mark.soak
def test_it_goes_through_the_real_receiver_and_daemon(live, sessions, tmp_path):
    trial = Trial("smart", "middle", choose_seed(103), at_length(8))
    with sessions() as session:
        assert not session.scalar(select(func.count()).select_from(WebhookEvent))
    cases = run_trial(trial, sessions, tmp_path)

    charges = [charge for case in cases for charge in case.charges]
    with sessions() as session:
        tried = session.execute(
            select(Attempt.payment_id, Attempt.idempotency_key, Attempt.outcome).where(
                Attempt.trigger.in_(OUR_TRIGGERS)
            )
        )
        attempts = Counter((a.payment_id, a.idempotency_key, a.outcome == PAID) for a in tried)
        events = Counter(session.scalars(select(WebhookEvent.type)))
        unapplied = session.scalars(select(WebhookEvent).where(WebhookEvent.applied_at.is_(None)))
        assert unapplied.all() == []
    assert len(cases) > 15
    assert attempts == Counter(
        (c.payment_id, c.idempotency_key, c.outcome == PAID) for c in charges if c.by == "retry"
    )
    assert events["payment.failed"] == sum(c.outcome != PAID for c in charges)
    assert events["payment.succeeded"] == sum(c.outcome == PAID for c in charges)
    assert sum(case.messages for case in cases) > 0


@pytest.mark.parametrize(
    ("policy", "level", "limit", "hours"),
    [
        ("smart", "low", 3, (24, 48, 72, 96)),
        ("hourly", "high", 1, (24, 48, 72, 96)),
        ("yuno", "middle", 3, (48, 119)),
    ],
)
def test_the_quick_model_tells_the_same_as_the_real_code(live, policy, level, limit, hours):
    trial = Trial(policy, level, 104, 4, limit, hours, mails=False)
    real, quick = live(trial), run_quickly(trial)
    assert len(real) > 5
    assert count_agreeing(real, quick) == len(real)


def test_a_quick_model_that_differs_is_found_out(live):
    trial = Trial("smart", "middle", 101, 2, mails=False)
    real, other = live(trial), run_quickly(replace(trial, policy="hourly"))
    assert count_agreeing(real, other) < len(real)
    wrong = [replace(case, left=not case.left) for case in real]
    assert describe_agreement({trial: wrong}) == (
        f"it tells the same of 0 of {len(real)} payments, charge by charge"
    )


def test_without_messages_none_is_sent(live, caplog):
    told = live(Trial("smart", "middle", 101, 2))
    silent = live(Trial("smart", "middle", 101, 3, mails=False))
    assert sum(case.messages for case in told) > 0
    assert sum(case.messages for case in silent) == 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_whop_allows_no_more_retries_than_the_trial_says(live):
    assert max(c.our_charges for c in live(Trial("hourly", "middle", 101, 2))) == 3
    assert max(c.our_charges for c in live(Trial("hourly", "middle", 101, 2, 1))) == 1


# --- banks and members --------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_funds_come_and_run_out_again(level):
    random, again = Random(5), 0
    sure = replace(level, trust_kept=1.0, night_patience=1.0)
    for number in range(200):
        story = bank.draw_scenario(random, sure, "insufficient_funds", START + number * DAY)
        hours = [story.starts_at + hour * HOUR for hour in range(240)]
        said = [bank.decide(story, "insufficient_funds", at, 2, HISTORY) == PAID for at in hours]
        again += any(had and not has for had, has in pairwise(said))
    assert again > 50


def test_a_bank_trusts_every_further_attempt_less():
    random = Random(6)
    stories = [bank.draw_scenario(random, MIDDLE, "processing_error", START) for _ in range(2000)]
    noon = START + 4 * DAY + 12 * HOUR

    def paid(attempt: int, at: datetime) -> int:
        said = (bank.decide(story, "processing_error", at, attempt, HISTORY) for story in stories)
        return sum(outcome == PAID for outcome in said)

    assert paid(2, noon) > paid(5, noon) > paid(8, noon)
    assert paid(2, noon) > 1.5 * paid(2, noon - 10 * HOUR)  # at two in the night


def test_members_who_have_had_enough_leave_and_are_charged_no_more():
    world = World(assumed=replace(MIDDLE, leaves=0.0, leaves_per_decline=1.0))
    payment_id = world.fail_renewal(START, decline_code="lost_card")
    world.advance(START + 4.5 * DAY)
    membership = world.store.membership(world.store.payment(payment_id).membership_id)
    assert membership.status == "canceled"
    assert membership.canceled_at is not None
    assert membership.canceled_at < START + 3 * DAY
    assert all(c.at <= membership.canceled_at for c in world.ledger.charges(payment_id))


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_every_assumption_is_within_its_published_band(level):
    assert sum(odds.share for odds in level.odds.values()) == pytest.approx(1)
    assert set(level.odds) == set(SHARE_BANDS) == set(CODES)
    for cause, (low, high) in SHARE_BANDS.items():
        assert low <= level.odds[cause].share <= high, cause
    assert sum(PAY_FREQUENCIES.values()) == pytest.approx(100)
    moved = [odds.share * odds.member_pays * level.mail_helps for odds in level.odds.values()]
    assert 0.03 <= sum(moved) <= 0.13
    chances = [
        getattr(odds, name) for odds in level.odds.values() for name in ("passes", "member_pays")
    ]
    chances += [level.trust_kept, level.night_patience, level.leaves, level.leaves_per_decline]
    assert all(0 <= chance <= 1 for chance in chances)


@pytest.mark.parametrize("kind", [Odds, Assumptions])
def test_every_assumption_has_a_source_or_says_that_it_is_assumed(kind):
    named = {field.name for field in fields(kind)} - {"name", "odds"}
    assert named <= set(SOURCES)


def test_the_levels_go_from_little_to_much():
    low, middle, high = LEVELS.values()
    for name in ("funded_hours", "trust_kept", "night_patience", "mail_helps"):
        assert getattr(low, name) < getattr(middle, name) < getattr(high, name)
    for cause in CODES:
        for name in ("passes", "member_pays"):
            values = [getattr(level.odds[cause], name) for level in (low, middle, high)]
            assert values == sorted(values), (cause, name)


# --- schedules ----------------------------------------------------------------------------------


def test_a_schedule_charges_at_its_hours_and_then_no_more(live):
    asked = context(failed_at=START)
    later = context(failed_at=START, declined_retries=1, last_charge_at=START + 12 * HOUR)
    last = context(failed_at=START, declined_retries=4, last_charge_at=START + 96 * HOUR)
    rules = rules_for("woocommerce")
    assert decide(asked, rules, START) == Retry(START + 12 * HOUR)
    assert decide(later, rules, START + 12 * HOUR) == Retry(START + 24 * HOUR)
    assert decide(last, rules, START + 96 * HOUR) == NoRetry(NoRetryReason.WINDOW_CLOSED)
    assert decide(asked, rules_for("whop"), START) == NoRetry(NoRetryReason.RETRIES_USED)


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_schedule_charges_what_must_never_be_charged(live, name):
    asked = context(failed_at=START, decline_class=DeclineClass.FRAUD)
    rules = replace(rules_for(name), max_retries=5)
    assert decide(asked, rules, START) == NoRetry(NoRetryReason.FORBIDDEN)


@pytest.mark.parametrize(
    ("policy", "limit", "same"),
    [
        ("killbill", 3, ("whop", 1)),  # its first day is the eighth
        ("recurly", 1, ("polar", 1)),
        ("polar", 3, ("polar", 1)),
        ("woocommerce", 3, ("woocommerce", 3)),
        ("yuno", 1, ("yuno", 1)),
        ("smart", 1, ("smart", 1)),
    ],
)
def test_trials_that_cannot_differ_are_run_once(policy, limit, same):
    canonical = Trial(policy, "low", 1, 2, limit).canonical
    assert (canonical.policy, canonical.retry_limit) == same


def test_trials_taken_for_one_give_the_same_charges(live):
    trial = Trial("recurly", "middle", 101, 2, 1)
    assert live(trial) == live(trial.canonical)
    assert trial != trial.canonical


# --- figures, bands, breaches -------------------------------------------------------------------


def test_figures_are_ratios_of_sums():
    cases = [PAID_BY_US, PAID_BY_WHOP, UNPAID]
    assert RECOVERED.sums(cases).ratio() == 0.4  # 10 + 30 of 100
    assert OURS.sums(cases).ratio() == 0.1
    assert CHARGES.sums(cases).ratio() == 1.5  # three charges, two recoveries
    assert CHARGES.sums([UNPAID]).ratio() == 0
    assert RECOVERED.sums(cases).ratio([2, 0, 1]) == 0.25  # 20 of 80


def test_an_interval_is_the_middle_of_what_resampling_gives():
    assert spread(500, range(1000)) == Estimate(500, 25, 974)
    assert spread(0.0, [3.0] * 100) == Estimate(0.0, 3.0, 3.0)


def test_resampling_draws_as_many_as_there_are_and_repeats_with_its_seed():
    weights = resample(Random(1), 50, 20)
    assert [sum(row) for row in weights] == [50] * 20
    assert weights == resample(Random(1), 50, 20) != resample(Random(2), 50, 20)


def test_a_difference_is_judged_on_the_payments_that_differ():
    ours = Sums([1.0] * 60 + [0.0] * 40, [1.0] * 100)
    theirs = Sums([1.0] * 50 + [0.0] * 50, [1.0] * 100)
    weights = resample(Random(1), 100, 1000)
    gap = compare(ours, theirs, weights)
    assert gap.value == pytest.approx(-0.1)
    assert -0.18 < gap.low < gap.value < gap.high < -0.03
    assert compare(ours, ours, weights) == Estimate(0, 0, 0)
    alone = estimate(ours, weights)
    assert alone.low == pytest.approx(0.5, abs=0.02)  # 0.6 less two standard errors of 0.049
    assert alone.high == pytest.approx(0.7, abs=0.02)


def test_bands_are_measured_as_they_are_defined():
    told = [PAID_BY_US, PAID_BY_WHOP, UNPAID, case(FAILED, charge("member", PAID, 9), messages=1)]
    silent = [PAID_BY_US, PAID_BY_WHOP, UNPAID, case(charge("whop", "lost_card"))]
    measured = {band.name: band.measure(told, silent) for band in BANDS}
    assert measured == {
        "total recovery": 3 / 4,
        "the retries' share": 2 / 3,
        "silent recovery": 2 / 4,
        "first retry": 1 / 3,
        "one message": 1 / 4,
    }
    assert [BANDS[0].verdict(value) for value in (0.44, 0.45, 0.6, 0.61)] == [
        "below",
        "within",
        "within",
        "above",
    ]


def card(brand: str):
    return replace(draw_card(Random(1), "card", START), brand=brand)


@pytest.mark.parametrize(
    ("brand", "charges", "breaches"),
    [
        ("visa", [charge("whop", "generic_decline", 9 * n) for n in range(14)], 0),
        ("visa", [charge("whop", "generic_decline", 9 * n) for n in range(15)], 1),
        ("visa", [charge("member", "generic_decline", 9 * n) for n in range(15)], 0),
        ("visa", [charge("whop", "generic_decline", -900)] * 15, 0),  # more than 30 days ago
        ("mastercard", [charge("whop", "generic_decline", 9 * n) for n in range(15)], 0),
        ("mastercard", [charge("whop", "generic_decline", 9 * n) for n in range(35)], 1),
        ("mastercard", [charge("whop", "generic_decline", 399 - n) for n in range(10)], 1),
        ("amex", [charge("whop", "lost_card")], 1),
        ("amex", [charge("whop", "generic_decline")], 0),
    ],
)
def test_a_charge_beyond_a_networks_limit_or_after_a_last_no_is_a_breach(brand, charges, breaches):
    ours = charge("retry", "generic_decline", 400)
    assert count_breaches([case(*charges, ours, card=card(brand))]) == breaches
    assert count_breaches([case(*charges, replace(ours, by="whop"), card=card(brand))]) == 0


def test_payments_on_one_card_count_together():
    whops = [charge("whop", "generic_decline", 20 * n) for n in range(8)]
    ours = charge("retry", "generic_decline", 300)
    first, second = case(*whops, card=card("visa")), case(*whops, ours, card=card("visa"))
    assert count_breaches([second]) == 0
    assert count_breaches([first, second]) == 1


def judged(smart: list[Case], other: list[Case]) -> str:
    """Each payment has a card of its own."""
    cases = {
        name: [
            replace(case, card=draw_card(Random(n), str(n), START)) for n, case in enumerate(given)
        ]
        for name, given in (("smart", smart), ("hourly", other))
    }
    return assess(Comparison("low", 3, cases, resample(Random(1), len(smart), 200)))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([UNPAID] * 40, "most money: yes, more than the best other"),
        ([PAID_BY_US] * 20 + [PAID_BY_WHOP] * 20, "most money: no, less than the best other"),
        ([PAID_BY_US] * 21 + [UNPAID] * 19, "most money: no, less than the best other"),
        ([PAID_BY_US] * 19 + [UNPAID] * 21, "most money: yes, but not beyond doubt, against"),
    ],
)
def test_the_verdict_says_when_smart_loses(other, words):
    said = judged([PAID_BY_US] * 20 + [UNPAID] * 20, other)
    assert words in said
    assert said.endswith("no breach: yes")


def test_the_verdict_says_when_smart_breaks_a_limit_or_charges_too_much():
    lost = [case(charge("whop", "lost_card"), charge("retry", PAID, 9))] * 40
    said = judged(lost, lost)
    assert "half of `hourly`'s charges at most: no, 1.00 to 1.00" in said
    assert said.endswith("no breach: no, 40")


# --- the page -----------------------------------------------------------------------------------


def test_the_page_holds_a_report_of_todays_assumptions_and_how_to_make_it():
    page = (ROOT / "docs/developers/policy-comparison.md").read_text()
    report = page.split("<!-- report -->\n")[1].split("<!-- end of report -->")[0]
    command = re.search(r"Made by `python -m sandbox\.simulate (.*?)`", report)
    assert command is not None
    study, _ = read_arguments(command[1].split())
    assert study.command.endswith(command[1])
    assert set(study.levels) == set(LEVELS)
    assert set(study.policies) == set(COMPARED)
    agreement = re.search(r"the same of (\d+) of (\d+) payments", report)
    assert agreement is not None
    differing = int(agreement[2]) - int(agreement[1])
    assert differing == 0 or f"of {differing} payments it told otherwise" in page
    assert show_assumptions(study.levels) in report
    assert show_schedules(study.policies) in report


def test_an_unknown_name_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        read_arguments(["--policies", "smart,clever"])
    assert "clever: not among smart, hourly, " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        read_arguments(["--policies", "hourly"])
    assert "it must be among the policies" in capsys.readouterr().err
