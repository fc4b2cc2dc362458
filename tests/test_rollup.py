"""Kept days and raw rows together are always the truth, whatever happens in which order."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pydantic import SecretStr
from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.orm import Session

from db.commands import rollup as rollup_command
from db.company_settings.recovery import (
    DEFAULT_RECOVERY_SETTINGS,
    RecoverySettings,
    add_companies,
    save_recovery_settings,
)
from db.ledger import new_payments, payment_reports, payments, refunds
from db.ledger.bulk_insert import LATE
from db.models import DailyFigures, LateChange, Message, Payment, Refund
from db.reporting import rollup
from db.reporting.figures import Day, Summary
from db.reporting.summary import find_time_zone, summarize
from db.session import SessionFactory
from db.settings import CommonSettings
from recovery.reports import RefundReport
from recovery.status import RecoveredBy
from tests.databases import empty
from tests.factories import COMPANY, HOUR, HOURLY, NOW, iso, money, report
from tests.raw_figures import check_days, check_summary, list_days, read_rows
from tests.rig import Rig
from tests.soak import at_length

OTHER = "biz_other"
# Clocks are set at midnight in Havana and Asuncion; Kathmandu and Kiritimati are far from UTC.
ZONES = ("UTC", "America/Havana", "Asia/Kathmandu", "Pacific/Kiritimati", "America/Asuncion")
DAYS = 90
BY_HAND = (
    {"failed_amount_usd": Decimal("7.77")},
    {"failed_amount_usd": None},
    {"kept_usd": Decimal("7.77")},
    {"kept_usd": None},
    {"failed_at": NOW - timedelta(days=30)},
    {"company_id": OTHER},
)


class Creator:
    """A company's books, beside another one's, and a clock that only goes forward."""

    def __init__(self, sessions: SessionFactory) -> None:
        self.sessions, self.now, self.heard = sessions, NOW, 0
        with sessions.begin() as session:
            add_companies(session, {COMPANY, OTHER})
            self.fail(session, timedelta(days=20), "19.00", OTHER)

    # --- what can happen to payments -----------------------------------------------------------

    def fail(
        self, session: Session, ago: timedelta, usd: str | None, company_id: str = COMPANY
    ) -> None:
        self.heard += 1
        times = ("created_at", "last_payment_attempt_at", "updated_at")
        heard = report(
            id=f"pay_{self.heard}",
            account_id=company_id,
            total=money(usd or "30.00", "eur"),
            usd_total=usd and money(usd),
            **dict.fromkeys(times, iso(self.now - ago)),
        )
        new_payments.create_payments(
            session, [heard], {company_id: DEFAULT_RECOVERY_SETTINGS}, self.now, HOURLY
        )

    def pay(self, session: Session, number: int, ago: timedelta) -> None:
        if payment := self.find(session, number):
            at = max(self.now - ago, payment.failed_at)
            paid = report("payment.succeeded", id=payment.payment_id, at=at)
            payment_reports.apply_report(session, payment, paid, self.now, HOURLY)

    def refund(self, session: Session, number: int, part: str) -> None:
        if payment := self.find(session, number):
            amount = payment.amount * Decimal(part)
            given = RefundReport(
                refund_id=f"rf_{number}",
                payment_id=payment.payment_id,
                company_id=COMPANY,
                amount=amount,
                status="succeeded",
                observed_at=self.now,
            )
            refunds.record_refund(session, payment, given)

    def credit(self, session: Session, number: int, who: RecoveredBy) -> None:
        payment = self.find(session, number)
        if payment is not None and payment.recovered_at is not None:
            payment.recovered_by = who

    def correct(self, session: Session, number: int, values: dict[str, Any]) -> None:
        """By hand, past all our code."""
        one = Payment.payment_id == name(number)
        session.execute(update(Payment).where(one).values(values))

    def remove(self, session: Session, number: int) -> None:
        """By hand as well. What an attempt or a refund is about stays."""
        given_back = exists().where(Refund.payment_id == name(number))
        payment = self.find(session, number)
        if payment and payment.recovered_at is None and not session.scalar(select(given_back)):
            session.execute(delete(Message).where(Message.payment_id == name(number)))
            session.execute(delete(Payment).where(Payment.id == payment.id))

    def find(self, session: Session, number: int) -> Payment | None:
        found = payments.lock_payments(session, [name(number)]).get(name(number))
        return found if found is not None and found.company_id == COMPANY else None

    # --- what else can happen ------------------------------------------------------------------

    def change_zone(self, session: Session, zone: str) -> None:
        save_recovery_settings(
            session, COMPANY, RecoverySettings(time_zone=zone), "somebody", self.now
        )

    def pass_time(self, session: Session, hours: int) -> None:
        self.now += hours * HOUR

    def do(self, session: Session, step: Sequence[Any]) -> None:
        getattr(self, step[0])(session, *step[1:])
        session.flush()

    def commit(self, step: Sequence[Any]) -> None:
        with self.sessions.begin() as session:
            self.do(session, step)

    def catch_up(self) -> None:
        with self.sessions.begin() as session:
            rollup.catch_up(session, COMPANY, self.now)

    def rebuild(self) -> None:
        with self.sessions.begin() as session:
            rollup.rebuild(session, COMPANY, self.now)

    def crash(self, step: Sequence[Any]) -> None:
        """Nothing is committed."""
        with self.sessions() as session:
            self.do(session, step)
            rollup.catch_up(session, COMPANY, self.now)

    def overlap(
        self, step: Sequence[Any], keeper_acts_first: bool, keeper_ends_first: bool
    ) -> None:
        """A change and a catch-up in hand at the same time: neither sees the other."""
        with self.sessions() as writer, self.sessions() as keeper:
            if not keeper_acts_first:
                self.do(writer, step)
            rollup.catch_up(keeper, COMPANY, self.now)
            if keeper_acts_first:
                self.do(writer, step)
            for session in (keeper, writer) if keeper_ends_first else (writer, keeper):
                session.commit()

    def check(self) -> None:
        with self.sessions() as session:
            zone = find_time_zone(session, COMPANY)
            rows = read_rows(session, COMPANY)
            check_summary(summarize(session, COMPANY, self.now), rows, zone, self.now)
            check_days(list_days(session, COMPANY, DAYS, self.now), rows, zone, self.now)

    def read_kept(self) -> list[Any]:
        with self.sessions() as session:
            kept = select(*DailyFigures.__table__.c).order_by(DailyFigures.day)
            days = session.execute(kept.where(DailyFigures.company_id == COMPANY)).all()
            return [tuple(row) for row in days if any(row[2:])]


def name(number: int) -> str:
    return f"pay_{number + 2}"


ages = some.integers(0, 80 * 24).map(lambda hours: hours * HOUR)
which = some.integers(0, 7)
changes = some.one_of(
    some.tuples(some.just("fail"), ages, some.sampled_from(("0.00", "19.00", "49.00", None))),
    some.tuples(some.just("pay"), which, ages),
    some.tuples(some.just("refund"), which, some.sampled_from(("0.5", "1", "0"))),
    some.tuples(some.just("credit"), which, some.sampled_from(RecoveredBy)),
    some.tuples(some.just("correct"), which, some.sampled_from(BY_HAND)),
    some.tuples(some.just("remove"), which),
)
zones = some.tuples(some.just("change_zone"), some.sampled_from(ZONES))
times = some.tuples(some.just("pass_time"), some.sampled_from((1, 23, 24, 60, 24 * 9)))
steps = some.one_of(changes, zones, times)
happenings = some.one_of(
    some.tuples(some.just("commit"), steps),
    some.tuples(some.just("commit"), zones),
    some.tuples(some.sampled_from(("catch_up", "rebuild"))),
    some.tuples(some.just("crash"), steps),
    some.tuples(some.just("overlap"), changes, some.booleans(), some.booleans()),
)


@settings(max_examples=at_length(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(changes, min_size=4, max_size=8), some.lists(happenings, min_size=2, max_size=12))
def test_the_figures_are_those_of_the_raw_rows(
    sessions: SessionFactory, before: list[Any], after: list[Any]
) -> None:
    empty(sessions.kw["bind"])  # of what an example before left
    creator = Creator(sessions)
    for step in before:
        creator.commit(step)
    creator.catch_up()
    for happening, *arguments in after:
        creator.check()
        getattr(creator, happening)(*arguments)
    creator.check()
    creator.catch_up()
    creator.check()
    kept_up = creator.read_kept()
    creator.rebuild()
    creator.check()
    assert creator.read_kept() == kept_up


@pytest.fixture
def creator(sessions: SessionFactory) -> Creator:
    """Thirty payments at all hours of sixty days, every other one paid in six hours; all kept."""
    creator = Creator(sessions)
    for number in range(30):
        creator.commit(("fail", number * 49 * HOUR, "19.00"))
        if number % 2:
            creator.commit(("pay", number, (number * 49 - 6) * HOUR))
    with sessions.begin() as session:
        for company_id in (COMPANY, OTHER):
            rollup.catch_up(session, company_id, creator.now)
    return creator


def read_summary(creator: Creator) -> Summary:
    with creator.sessions() as session:
        return summarize(session, COMPANY, creator.now)


def look(creator: Creator) -> tuple[Summary, list[Day]]:
    with creator.sessions() as session:
        return read_summary(creator), list_days(session, COMPANY, 60, creator.now)


def count(session: Session, model: type[Any]) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def test_it_reads_kept_days_and_not_their_payments(creator: Creator, session: Session) -> None:
    creator.check()
    before = read_summary(creator)
    with_failures = update(DailyFigures).where(DailyFigures.failures > 0)
    session.execute(with_failures.values(failures=DailyFigures.failures + 1))
    session.commit()
    # Two days and what failed since are raw.
    assert before.total_failed + 20 < read_summary(creator).total_failed < before.total_failed + 30


@pytest.mark.parametrize("zone", ZONES[1:])
def test_another_time_zone_counts_at_once_and_is_kept_anew(creator: Creator, zone: str) -> None:
    kept = creator.read_kept()
    creator.commit(("change_zone", zone))
    creator.check()
    creator.catch_up()
    assert creator.read_kept() != kept
    creator.check()
    creator.commit(("change_zone", "UTC"))
    creator.catch_up()
    assert creator.read_kept() == kept


@pytest.mark.parametrize(
    "step",
    [
        ("pay", 20, timedelta(days=30)),
        ("refund", 21, "0.5"),
        ("credit", 21, RecoveredBy.MEMBER),
        ("fail", timedelta(days=33), "49.00"),
        ("correct", 21, {"failed_amount_usd": None}),
        ("correct", 21, {"kept_usd": None}),
        (
            "correct",
            22,
            {"failed_at": NOW - timedelta(days=10), "window_ends_at": NOW - timedelta(days=5)},
        ),
        ("correct", 23, {"company_id": OTHER}),
        ("remove", 24),
    ],
)
def test_a_change_of_a_kept_day_is_seen_at_once(
    creator: Creator, session: Session, step: Sequence[Any]
) -> None:
    before = look(creator)
    creator.commit(step)
    assert look(creator) != before
    assert COMPANY in rollup.list_behind(session, creator.now)
    creator.check()
    creator.catch_up()
    creator.check()


def test_what_fails_now_writes_nothing_but_the_payment(creator: Creator, session: Session) -> None:
    changes = count(session, LateChange)
    creator.commit(("fail", LATE, "19.00"))
    assert count(session, LateChange) == changes
    creator.commit(("fail", LATE + timedelta(seconds=1), "19.00"))
    assert count(session, LateChange) == changes + 1


def test_two_at_once_do_not_wait_for_each_other(creator: Creator) -> None:
    creator.commit(("pay", 20, timedelta(days=30)))
    with creator.sessions() as first, creator.sessions() as second:
        rollup.catch_up(first, COMPANY, creator.now)
        second.execute(text("set local lock_timeout = '1s'"))
        rollup.catch_up(second, COMPANY, creator.now)
        second.commit()
        first.commit()
    creator.check()


def test_a_day_is_behind_once_it_ended_two_days_ago(creator: Creator, session: Session) -> None:
    assert rollup.list_behind(session, creator.now) == []
    midnight = creator.now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    assert rollup.list_behind(session, midnight - timedelta(seconds=1)) == []
    assert rollup.list_behind(session, midnight) == [COMPANY, OTHER]


def test_days_kept_by_a_clock_that_was_ahead_are_kept_anew(
    creator: Creator, session: Session
) -> None:
    week = timedelta(days=7)
    creator.now += week
    creator.catch_up()
    creator.now -= week
    assert rollup.list_behind(session, creator.now) == [COMPANY]
    creator.catch_up()
    creator.commit(("fail", timedelta(), "19.00"))
    creator.check()
    creator.now += week
    creator.catch_up()
    creator.check()


def test_a_cycle_of_the_daemon_keeps_them(
    sessions: SessionFactory, session: Session, tmp_path: Path
) -> None:
    rig = Rig(sessions, tmp_path)
    rig.fail()
    assert rollup.list_behind(session, rig.clock.now) != []
    rig.cycle.run()
    assert rollup.list_behind(session, rig.clock.now) == []


def test_the_command_sums_up_anew(
    creator: Creator, session: Session, database_url: str, capsys
) -> None:
    settings = CommonSettings(database_url=SecretStr(database_url))
    kept = creator.read_kept()
    session.execute(delete(DailyFigures))
    session.commit()
    assert rollup_command.run(Namespace(company_id=COMPANY), settings) == 0
    assert creator.read_kept()[: len(kept)] == kept
    assert rollup_command.run(Namespace(company_id=None), settings) == 0
    assert rollup_command.run(Namespace(company_id="biz_unknown"), settings) == 1
    words = [f"Rebuilt the daily sums of {number} of 2 companies." for number in (1, 2, 0)]
    assert capsys.readouterr().out.splitlines() == words
