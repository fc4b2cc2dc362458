"""Several threads that share one kind of work: how much is done, and when they stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from daemon.workers import MOST_ERRORS, WorkCounts, never, run_each, run_until_empty
from db.outages import DatabaseUnavailable
from tests.soak import at_length

AWAY = OperationalError("select 1", {}, Exception("the server closed the connection"))
A_BUG = ValueError("a bug")
SEVERAL = pytest.mark.parametrize("workers", [1, 4])


class Units:
    """Each call has the next outcome: True (done), False (nothing left), or what it raises. After
    the last one there is nothing left."""

    def __init__(self, outcomes: Iterable[bool | Exception]) -> None:
        self.outcomes = chain(outcomes, repeat(False))
        self.calls = 0
        self.lock = threading.Lock()

    def __call__(self) -> bool:
        with self.lock:
            self.calls += 1
            outcome = next(self.outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.mark.slow
@given(
    outcomes=st.lists(st.sampled_from([True, A_BUG]), max_size=MOST_ERRORS - 1),
    workers=st.integers(1, 5),
)
@settings(max_examples=at_length(50))
def test_every_unit_is_run_once_and_what_breaks_is_passed_over(outcomes, workers):
    units = Units(outcomes)
    done, errors = outcomes.count(True), outcomes.count(A_BUG)
    assert run_until_empty(units, workers) == WorkCounts(done, errors)
    assert units.calls == len(outcomes) + workers  # each thread is told once that nothing is left


@SEVERAL
def test_with_nothing_to_do_nothing_is_done(workers):
    assert run_until_empty(Units([]), workers) == WorkCounts(0, 0)


@SEVERAL
def test_what_keeps_breaking_is_given_up(workers, caplog):
    units = Units(repeat(A_BUG))
    counts = run_until_empty(units, workers, failure="a letter could not be sent")
    assert counts.done == 0
    assert MOST_ERRORS <= counts.errors == units.calls < MOST_ERRORS + workers
    assert {record.message for record in caplog.records} == {"a letter could not be sent"}
    assert len(caplog.records) == counts.errors


@SEVERAL
def test_a_database_that_is_away_ends_it_at_once_and_is_told_by_the_caller(workers, caplog):
    units = Units(repeat(AWAY))
    assert run_until_empty(units, workers) == WorkCounts(0, workers)
    assert units.calls == workers
    assert caplog.records == []


def test_what_was_done_before_the_database_went_away_counts(caplog):
    assert run_until_empty(Units([True, True, AWAY, True])) == WorkCounts(2, 1)


@SEVERAL
def test_asked_to_stop_it_begins_nothing_more(workers):
    units = Units(repeat(True))
    counts = run_until_empty(units, workers, stopping=lambda: units.calls >= 10)
    assert 10 <= counts.done == units.calls < 10 + workers


@SEVERAL
def test_asked_to_stop_beforehand_it_begins_nothing(workers):
    units = Units(repeat(True))
    assert run_until_empty(units, workers, stopping=lambda: True) == WorkCounts(0, 0)
    assert units.calls == 0


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_so_many_work_side_by_side_and_one_of_them_is_the_caller(workers):
    together = threading.Barrier(workers, timeout=10)
    seen: set[threading.Thread] = set()

    def work_once() -> bool:
        if threading.current_thread() in seen:
            return False
        seen.add(threading.current_thread())
        together.wait()
        return True

    assert run_until_empty(work_once, workers) == WorkCounts(workers, 0)
    assert len(seen) == workers
    assert threading.current_thread() in seen


@pytest.mark.parametrize("broken", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_process_is_not_swallowed(broken: type[BaseException]):
    def unit() -> bool:
        raise broken()

    with pytest.raises(broken):
        run_until_empty(unit)


# --- one company after the other ---------------------------------------------------------------


def test_one_company_s_trouble_ends_nobody_else_s_work(caplog: pytest.LogCaptureFixture) -> None:
    def work(company_id: str) -> int:
        if company_id == "biz_b":
            raise KeyError("Mars/Base")
        return 2

    counts = run_each(["biz_a", "biz_b", "biz_c"], work, never, "it could not be done")
    assert counts == WorkCounts(done=4, errors=1)
    assert "company biz_b: it could not be done" in caplog.text


def test_where_the_database_is_away_no_company_is_tried_in_vain() -> None:
    tried = []

    def work(company_id: str) -> None:
        tried.append(company_id)
        raise DatabaseUnavailable

    with pytest.raises(DatabaseUnavailable):
        run_each(["biz_a", "biz_b"], work, never, "it could not be done")
    assert tried == ["biz_a"]


def test_a_daemon_that_is_stopped_begins_no_other_company() -> None:
    assert run_each(["biz_a"], lambda _: 1, lambda: True, "") == WorkCounts(0, 0)
