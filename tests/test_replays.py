"""Poison events that are tried again: whose, by whom, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from daemon import commands
from daemon.process import Daemon
from daemon.replays import Replayer
from daemon.settings import DaemonSettings
from db.company_settings.recovery import add_companies
from db.ledger import replays, requests
from db.models import AuditEntry, Payment, Request, WebhookEvent
from db.reporting.health import gather_facts
from db.session import SessionFactory
from recovery.status import Action, RequestKind
from tests.factories import COMPANY, HOUR, HOURLY, NOW, event, fail_now, payment_data
from tests.processes import wait_until
from whop.payloads import read_event

OTHER = "biz_other"
read = partial(read_event, default_company=None)


def record_poison(
    session: Session, company_id: str | None, number: int = 1, **overrides: Any
) -> None:
    """Events that today's code can read."""
    if company_id is not None:
        add_companies(session, {company_id})
    for _ in range(number):
        whose = company_id or COMPANY
        told = event(account_id=whose, data=payment_data(account_id=whose))
        columns = {
            "event_id": told["id"],
            "type": "payment.failed",
            "company_id": company_id,
            "payload": told,
            "received_at": NOW,
            "error": "an old fault",
        }
        session.add(WebhookEvent(**columns | overrides))
    session.commit()


def count_poison(session: Session, company_id: str | None) -> int:
    session.rollback()
    whose = WebhookEvent.company_id == company_id
    return len(session.scalars(select(WebhookEvent).where(whose, WebhookEvent.error != "")).all())


def ask(session: Session, company_id: str = COMPANY, at: datetime = NOW) -> bool:
    asked = replays.ask(session, company_id, "dashboard", at)
    session.commit()
    return asked


def step(session: Session, after: int = 0) -> Request | None:
    return replays.replay_next(session, NOW, HOURLY, read, after)


@pytest.fixture
def replayer(sessions: SessionFactory) -> Replayer:
    return Replayer(sessions, HOURLY, lambda: NOW + HOUR, read)


# --- asking ------------------------------------------------------------------------------------


def test_it_is_asked_for_once_until_it_is_done(session: Session, replayer: Replayer) -> None:
    assert ask(session) is True
    assert ask(session, at=NOW + HOUR) is False
    assert replays.find_open(session, COMPANY) == NOW
    assert replays.find_open(session, OTHER) is None
    replayer.replay_requested()
    session.rollback()
    assert replays.find_open(session, COMPANY) is None
    assert ask(session, at=NOW + 2 * HOUR) is True


def test_each_time_that_it_is_asked_for_stands_in_the_audit_list(session: Session) -> None:
    ask(session)
    ask(session)
    (entry,) = session.scalars(select(AuditEntry))
    assert (entry.action, entry.actor, entry.done_at) == (Action.REPLAY_EVENTS, "dashboard", NOW)
    assert (entry.company_id, entry.payment_id) == (COMPANY, None)


def test_two_clicks_at_once_ask_once(sessions: SessionFactory, session: Session) -> None:
    add_companies(session, {COMPANY})
    session.commit()
    with sessions() as one, sessions() as other:
        assert replays.ask(one, COMPANY, "dashboard", NOW) is True
        one.commit()
        assert replays.ask(other, COMPANY, "dashboard", NOW) is False
        other.commit()
    assert len(session.scalars(select(Request)).all()) == 1


# --- whose -------------------------------------------------------------------------------------


def test_a_replay_for_one_company_leaves_the_poison_of_all_others(
    session: Session, replayer: Replayer
) -> None:
    record_poison(session, COMPANY, 3)
    record_poison(session, OTHER, 3)
    record_poison(session, None)
    ask(session)
    replayer.replay_requested()
    assert [count_poison(session, whose) for whose in (COMPANY, OTHER, None)] == [0, 3, 1]
    assert set(session.scalars(select(Payment.company_id))) == {COMPANY}


def test_what_tells_no_company_is_tried_where_there_is_only_one_as_it_is_shown(
    session: Session, replayer: Replayer
) -> None:
    record_poison(session, COMPANY)
    record_poison(session, None)
    assert gather_facts(session, COMPANY, NOW).poison_count == 2
    ask(session)
    replayer.replay_requested()
    assert gather_facts(session, COMPANY, NOW).poison_count == 0


def test_the_operators_replay_is_of_all_companies_and_in_the_list_of_each(
    session: Session, replayer: Replayer
) -> None:
    record_poison(session, COMPANY, 2)
    record_poison(session, OTHER)
    record_poison(session, None, payload={})
    add_companies(session, {"biz_without_poison"})
    session.commit()
    assert replayer.replay_all("command") == 1
    assert [count_poison(session, whose) for whose in (COMPANY, OTHER, None)] == [0, 0, 1]
    entries = session.scalars(select(AuditEntry)).all()
    assert {(entry.company_id, entry.actor) for entry in entries} == {
        (COMPANY, "command"),
        (OTHER, "command"),
    }


def test_no_company_waits_for_one_with_many_events(
    session: Session, replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_poison(session, COMPANY, 3)
    record_poison(session, OTHER, 1)
    ask(session, COMPANY)
    ask(session, OTHER)
    turns: list[str] = []
    real = replays.try_event

    def watch(session: Session, stored: WebhookEvent, *rest: Any) -> str | None:
        turns.append(str(stored.company_id))
        return real(session, stored, *rest)

    monkeypatch.setattr(replays, "try_event", watch)
    replayer.replay_requested()
    assert turns == [COMPANY, OTHER, COMPANY, COMPANY]


# --- what becomes of an event ------------------------------------------------------------------


def test_what_is_still_poison_is_tried_once_and_keeps_todays_words(
    session: Session, replayer: Replayer
) -> None:
    record_poison(session, COMPANY, 2, payload={"type": "payment.failed"})
    ask(session)
    replayer.replay_requested()
    assert count_poison(session, COMPANY) == 2
    assert set(session.scalars(select(WebhookEvent.error))) == {"data: must be a JSON object"}
    assert replays.find_open(session, COMPANY) is None


def test_a_fault_of_ours_keeps_the_event_and_does_not_hold_up_the_next(
    session: Session, replayer: Replayer
) -> None:
    record_poison(session, COMPANY, 2)

    def read_badly(payload: Any, at: datetime) -> Any:
        replayer.read = read
        raise KeyError("jo@example.com")

    replayer.read = read_badly
    ask(session)
    replayer.replay_requested()
    errors = session.scalars(select(WebhookEvent.error).order_by(WebhookEvent.id)).all()
    assert errors == ["it cannot be applied (KeyError)", None]


def test_an_event_whose_payment_is_not_known_waits_for_it_and_is_poison_no_more(
    session: Session, replayer: Replayer
) -> None:
    paid = event("payment.succeeded", payment_data(id="pay_late", status="paid", paid_at=None))
    paid["data"] |= {"substatus": "succeeded", "paid_at": paid["timestamp"]}
    record_poison(session, COMPANY, type="?", payload=paid)
    ask(session)
    replayer.replay_requested()
    (stored,) = session.scalars(select(WebhookEvent))
    session.refresh(stored)
    assert (stored.error, stored.applied_at) == (None, None)
    assert (stored.type, stored.payment_id) == ("payment.succeeded", "pay_late")


def test_an_event_that_says_nothing_to_us_any_more_is_done_with(
    session: Session, replayer: Replayer
) -> None:
    record_poison(session, COMPANY, payload=event("course.completed", {}))
    ask(session)
    replayer.replay_requested()
    (stored,) = session.scalars(select(WebhookEvent))
    session.refresh(stored)
    assert (stored.error, stored.applied_at) == (None, NOW + HOUR)


# --- crashes and two daemons -------------------------------------------------------------------


def find_process(sessions: SessionFactory, pid: int | None) -> int | None:
    there = text("select pid from pg_stat_activity where pid = :pid")
    with sessions() as session:
        found: int | None = session.scalar(there, {"pid": pid})
    return found


def test_a_crash_between_two_events_leaves_the_rest_asked_for(
    sessions: SessionFactory, session: Session, replayer: Replayer
) -> None:
    record_poison(session, COMPANY, 3)
    ask(session)
    with sessions.begin() as one:
        assert step(one) is not None
    with sessions() as crashes:
        assert step(crashes) is not None
        process = crashes.scalar(text("select pg_backend_pid()"))
        crashes.invalidate()  # the connection is cut, as by kill -9
    # The server lets go once it has noticed.
    wait_until(lambda: find_process(sessions, process) is None, "the cut connection's end")
    assert count_poison(session, COMPANY) == 2
    assert replays.find_open(session, COMPANY) == NOW
    replayer.replay_requested()
    assert count_poison(session, COMPANY) == 0
    assert replays.find_open(session, COMPANY) is None


def test_two_daemons_share_the_companies_and_never_have_the_same_in_hand(
    sessions: SessionFactory, session: Session
) -> None:
    record_poison(session, COMPANY)
    record_poison(session, OTHER)
    ask(session, COMPANY)
    ask(session, OTHER)
    with sessions() as one, sessions() as other, sessions() as third:
        first, second = step(one), step(other)
        assert first is not None
        assert second is not None
        assert (first.company_id, second.company_id) == (COMPANY, OTHER)
        assert step(third) is None
        one.commit()
        other.commit()
        again = step(third)
        assert again is not None
        assert (again.company_id, again.done_at) == (COMPANY, NOW)


def test_a_replay_holds_no_lock_longer_than_one_event(
    sessions: SessionFactory, session: Session
) -> None:
    """Beside it creators ask, and what they ask about payments is honoured."""
    payment = fail_now(session, NOW)
    record_poison(session, COMPANY, 2)
    ask(session)
    with sessions() as replaying, sessions() as other:
        assert step(replaying) is not None
        requests.ask(other, payment.payment_id, RequestKind.STOP, "dashboard", NOW)
        other.commit()
        done = requests.fulfil_next(other, NOW, HOURLY)
        assert done is not None
        assert done.answer == requests.DONE
        assert requests.fulfil_next(other, NOW, HOURLY) is None


# --- the daemon --------------------------------------------------------------------------------


@pytest.fixture
def daemon(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WHOP_API_KEY", "a key")
    monkeypatch.setenv("ENVIRONMENT", "development")
    daemon = Daemon(DaemonSettings())
    yield daemon
    daemon.whop.wire.http.close()
    daemon.engine.dispose()


def test_the_daemon_replays_once_it_is_asked_and_not_before(
    session: Session, daemon: Daemon
) -> None:
    record_poison(session, COMPANY)
    daemon.replay_requested()
    assert count_poison(session, COMPANY) == 1
    ask(session)
    daemon.replay_requested()
    assert count_poison(session, COMPANY) == 0
    assert len(session.scalars(select(Payment)).all()) == 1
    assert replays.find_open(session, COMPANY) is None


def test_the_command_says_how_many_are_still_poison(
    session: Session, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    record_poison(session, COMPANY)
    record_poison(session, OTHER, payload={})
    commands.replay(daemon)
    assert capsys.readouterr().out == "1 event(s) still cannot be applied.\n"
