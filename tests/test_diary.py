"""The diary of what the policy decides: complete, never changed, and enough to decide it again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DBAPIError

from dashboard.text.why_then import explain_moment
from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.ledger import diary
from db.models import Attempt, Payment, RetryDecision
from recovery.retrying.context import RetryRules, Why
from recovery.retrying.diary import read_facts, read_why, write_entry
from recovery.retrying.policy import POLICIES, VERSIONS
from recovery.retrying.transitions import Question, answer
from recovery.status import OUR_TRIGGERS, UNPAID
from sandbox.simulate.former_policies import FORMER
from tests.factories import COMPANY
from tests.rig import Rig
from tests.test_policy import NOW, contexts

STORED = Path(__file__).parent / "decisions"
HOUR = timedelta(hours=1)
questions = st.builds(
    Question,
    contexts,
    st.builds(
        RetryRules,
        st.sampled_from(sorted(POLICIES)),
        st.integers(1, 1440).map(lambda minutes: timedelta(minutes=minutes)),
        st.integers(0, 5),
    ),
    st.integers(0, 120).map(lambda hours: NOW + hours * HOUR),
    st.booleans(),
)


# --- a row is enough to decide it again ----------------------------------------------------------


@given(questions)
def test_each_decision_is_made_again_from_its_row_alone(question):
    entry = write_entry(question, answer(question))
    stored = json.loads(json.dumps(entry.facts))
    again = read_facts(stored)
    assert again == question
    assert write_entry(again, answer(again)) == entry
    assert VERSIONS[entry.policy] == entry.version


def list_stored() -> list[tuple[str, dict[str, Any]]]:
    return [
        (path.stem, row)
        for path in sorted(STORED.glob("*.json"))
        for row in json.loads(path.read_text())
    ]


def test_there_are_decisions_of_each_version_that_is_or_was():
    versions = {(row["policy"], row["version"]) for _, row in list_stored()}
    assert versions == set(FORMER) | set(VERSIONS.items())
    assert len(list_stored()) >= 20 * len(versions)


def test_each_stored_decision_of_this_version_and_of_those_before_is_made_again(monkeypatch):
    for name, row in list_stored():
        policy = FORMER.get((row["policy"], row["version"]))
        with monkeypatch.context() as then:
            if policy is not None:
                then.setitem(POLICIES, row["policy"], policy)
            question = read_facts(row["facts"])
            entry = write_entry(question, answer(question))
        at = entry.retry_at and entry.retry_at.isoformat()
        assert (at, entry.charge_method) == (row["retry_at"], row["charge_method"]), name
        assert policy is not None or entry.why == row["why"], name


# --- rows are written when the answer changes ----------------------------------------------------


@pytest.fixture
def rig(sessions, tmp_path) -> Rig:
    return Rig(sessions, tmp_path, rules=RetryRules())


def list_decisions(rig: Rig, payment_id: str) -> list[RetryDecision]:
    with rig.sessions() as session:
        query = select(RetryDecision).where(RetryDecision.payment_id == payment_id)
        return list(session.scalars(query.order_by(RetryDecision.id)))


def test_the_first_decision_is_written_by_the_daemon_within_a_minute(rig: Rig):
    payment_id = rig.fail()
    assert list_decisions(rig, payment_id) == []
    rig.cycle.write_diary()
    (made,) = list_decisions(rig, payment_id)
    payment = rig.payment(payment_id)
    assert (made.retry_at, made.decided_at) == (payment.next_retry_at, payment.created_at)
    assert made.retry_at is not None
    assert made.company_id == COMPANY
    rig.cycle.write_diary()
    assert len(list_decisions(rig, payment_id)) == 1


def test_a_no_is_written_too_and_says_why(rig: Rig):
    payment_id = rig.fail("expired_card")
    rig.cycle.write_diary()
    (made,) = list_decisions(rig, payment_id)
    assert (made.retry_at, made.charge_method, made.why) == (None, None, "needs_member")
    assert made.possible == []


def test_a_report_that_comes_first_leaves_the_first_decision_as_it_was(rig: Rig):
    """What was known then is written before anything newer is heard."""
    payment_id = rig.fail("insufficient_funds", "expired_card")
    planned = rig.payment(payment_id).next_retry_at
    rig.pass_time(24.2)
    first, *_, last = list_decisions(rig, payment_id)
    assert (first.retry_at, first.facts["decline_class"]) == (planned, "funds")
    assert (last.retry_at, last.facts["decline_class"]) == (None, "card")


def test_history_that_was_over_before_the_set_up_has_no_decisions(rig: Rig):
    rig.world.faults.add("webhook", "drop", times=None)
    old = rig.fail("expired_card")
    rig.pass_time(24 * 8)
    fresh = rig.fail("expired_card")
    rig.world.faults.clear()
    rig.reconciler.run()
    rig.cycle.write_diary()
    assert rig.payment(old).imported
    assert list_decisions(rig, old) == []
    assert len(list_decisions(rig, fresh)) == 1


def test_the_same_answer_again_is_no_row(rig: Rig):
    payment_id = rig.fail()
    rig.cycle.write_diary()
    (first,) = list_decisions(rig, payment_id)
    for minutes in (1, 2):
        question = read_facts(first.facts)
        later = replace(question, now=question.now + timedelta(minutes=minutes))
        with rig.sessions.begin() as session:
            query = select(Payment).where(Payment.payment_id == payment_id)
            diary.record(session, session.scalars(query).one(), later, answer(later))
    assert len(list_decisions(rig, payment_id)) == 1


CHANGES = [update(RetryDecision).values(why="x"), delete(RetryDecision)]


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_or_deletes_a_row(rig: Rig, change):
    rig.fail()
    rig.cycle.write_diary()
    with pytest.raises(DBAPIError, match="for good"), rig.sessions.begin() as session:
        session.execute(change)


@pytest.mark.parametrize("explores", [False, True])
def test_in_a_month_every_plan_and_every_charge_has_its_row_and_each_is_made_again(
    rig: Rig, explores: bool
):
    settings = RecoverySettings("America/New_York", 10, True, explores)
    with rig.sessions.begin() as session:
        save_recovery_settings(session, COMPANY, settings, "somebody", rig.clock.now)
    for hour in range(24 * 14):
        if hour % 5 == 0:
            rig.world.fail_renewal(rig.clock.now)
        rig.run()
        rig.cycle.write_diary()
    with rig.sessions() as session:
        made = list(session.scalars(select(RetryDecision).order_by(RetryDecision.id)))
        payments = list(session.scalars(select(Payment)))
        ours = Attempt.trigger.in_(OUR_TRIGGERS)
        attempts = list(session.scalars(select(Attempt).where(ours)))
    assert len(made) > len(payments) > 60
    assert {one.payment_id for one in made} == {payment.payment_id for payment in payments}
    last = {one.payment_id: one for one in made}
    for payment in payments:
        if payment.status in UNPAID:
            assert last[payment.payment_id].retry_at == payment.next_retry_at
    planned = {(one.payment_id, one.retry_at) for one in made}
    sent = [one for one in attempts if one.sent_at is not None]
    assert len(sent) > 20
    assert [one for one in sent if (one.payment_id, one.planned_at) not in planned] == []
    for one in made:
        question = read_facts(one.facts)
        entry = write_entry(question, answer(question))
        assert (entry.retry_at, entry.charge_method, entry.why) == (
            one.retry_at,
            one.charge_method,
            one.why,
        )
        assert sum(probability for _, probability in one.possible) in (0, pytest.approx(1))
    drawn = [one for one in made if Why.EXPLORED in read_why(one.why)]
    assert bool(drawn) == explores


def test_a_daemon_that_was_away_for_days_writes_what_it_missed(rig: Rig):
    rig.fail("expired_card")
    rig.clock.now += timedelta(days=3)
    rig.cycle.write_diary()
    with rig.sessions() as session:
        assert session.scalar(select(func.count()).select_from(RetryDecision)) == 1


# --- what is told of it --------------------------------------------------------------------------


def test_the_story_says_why_then(rig: Rig):
    payment_id = rig.fail("generic_decline", "generic_decline")
    rig.cycle.write_diary()
    made = list_decisions(rig, payment_id)
    at = rig.payment(payment_id).next_retry_at
    said = explain_moment(made, at)
    assert said.startswith("Why then? By the plan for this kind of decline")
    assert explain_moment(made, at + HOUR if at else None) == ""


@given(st.lists(st.sampled_from(Why), unique=True), st.datetimes())
def test_whatever_moved_a_charge_is_said_in_one_sentence(moves, at):
    first, *rest = [Why.PLAN, *(one for one in moves if one not in (Why.PLAN, Why.INTERVAL))]
    why = " ".join([first, *(one for one in rest if one is not Why.LAST_CHANCE)])
    said = explain_moment([RetryDecision(retry_at=at, why=why)], at)
    assert said.startswith("Why then? ")
    assert said.endswith(".")
    assert "_" not in said


def test_an_answer_of_another_kind_says_nothing():
    at = datetime.fromisoformat("2026-11-10T14:00+00:00")
    assert explain_moment([RetryDecision(retry_at=at, why="from a later version")], at) == ""
    assert explain_moment([], at) == ""
