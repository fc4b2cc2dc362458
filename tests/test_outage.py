"""A database that is away or not migrated is the same to every part, and a bug is a bug to each."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine, text
from sqlalchemy import exc as errors
from sqlalchemy.orm import Session, sessionmaker

from daemon.cycle import Cycle
from daemon.loop import Loop
from daemon.messages import MessageSender
from daemon.workers import MOST_ERRORS
from dashboard.data import database, health
from dashboard.data.database import Unavailable
from dashboard.settings import DashboardSettings
from db import embedded
from db.outages import DatabaseUnavailable, Outage, find_outage, translate_errors
from db.session import unready_reason
from db.sqlstates import Fault, find_fault
from mail.links import make_unsubscribe_url
from tests.factories import COMPANY, NOW, event
from tests.mail_service import LINK_SECRET, MailReceiver, mail_event
from tests.pages import fresh as fresh
from tests.test_receiver import Receiver, make_settings
from tests.test_sqlstates import ALL, wrap
from webhook.app import create_app

ROOMS = ("daemon", "dashboard", "db", "mail", "webhook", "whop")


class FromPostgres(Exception):
    """As psycopg2 raises it. `pgcode`: None where the server was never reached."""

    def __init__(self, pgcode: str | None) -> None:
        super().__init__("what the server said")
        self.pgcode = pgcode


def raised(kind: type[errors.DBAPIError], code: str | None = None, cut: bool = False) -> Exception:
    return kind("select 1", {}, FromPostgres(code), connection_invalidated=cut)


OUTAGES: dict[str, tuple[Exception, Outage]] = {
    "no server": (raised(errors.OperationalError), Outage.AWAY),
    "the server stops": (raised(errors.OperationalError, "57P01"), Outage.AWAY),
    "the server starts": (raised(errors.OperationalError, "57P03"), Outage.AWAY),
    "too many connections": (raised(errors.OperationalError, "53300"), Outage.AWAY),
    "it takes too long": (raised(errors.OperationalError, "57014"), Outage.AWAY),
    "a standby": (raised(errors.InternalError, "25006"), Outage.READ_ONLY),
    "a query canceled for a standby": (raised(errors.OperationalError, "40001"), Outage.AWAY),
    "a statement that is gone": (raised(errors.OperationalError, "26000"), Outage.AWAY),
    "a statement of somebody else's": (raised(errors.ProgrammingError, "42P05"), Outage.AWAY),
    "an error of the server's own": (raised(errors.InternalError, "XX000"), Outage.AWAY),
    "a right taken away": (raised(errors.ProgrammingError, "42501"), Outage.DENIED),
    "a deadlock": (raised(errors.OperationalError, "40P01"), Outage.AWAY),
    "a connection closed": (raised(errors.InterfaceError), Outage.AWAY),
    "a connection cut": (raised(errors.DatabaseError, cut=True), Outage.AWAY),
    "a full pool": (errors.TimeoutError("QueuePool limit"), Outage.AWAY),
    "no table": (raised(errors.ProgrammingError, "42P01"), Outage.UNMIGRATED),
    "no column": (raised(errors.ProgrammingError, "42703"), Outage.UNMIGRATED),
}
BAD_INPUT: dict[str, Exception] = {
    "a row twice": raised(errors.IntegrityError, "23505"),
    "a number too large": raised(errors.DataError, "22003"),
    "too deep": raised(errors.OperationalError, "54001"),
    "a wrong value": ValueError("a bug"),
}
BUGS: dict[str, Exception] = {
    "bad grammar": raised(errors.ProgrammingError, "42601"),
    "a transaction that failed": raised(errors.InternalError, "25P02"),
    "misuse": errors.InvalidRequestError("no such attribute"),
    "a wrong type": TypeError("a bug"),
}
PLAIN_BUGS = BAD_INPUT | BUGS
for_each_outage = pytest.mark.parametrize(("error", "outage"), OUTAGES.values(), ids=OUTAGES.keys())
for_each_bug = pytest.mark.parametrize("error", PLAIN_BUGS.values(), ids=PLAIN_BUGS.keys())


class Broken(sessionmaker[Session]):
    """Whoever wants to work with the database meets the error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.kw["bind"] = self  # who begins at the engine meets it as well

    def __call__(self, **local: Any) -> Session:
        raise self.error


def fail(error: Exception) -> Callable[[], bool]:
    def work() -> bool:
        raise error

    return work


# --- the definition ----------------------------------------------------------------------------


@for_each_outage
def test_it_is_named_once_for_all(error: Exception, outage: Outage) -> None:
    with pytest.raises(DatabaseUnavailable, match=outage.value) as caught, translate_errors():
        raise error
    assert (caught.value.outage, caught.value.__cause__) == (outage, error)


@for_each_bug
def test_every_other_error_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, translate_errors():
        raise error
    assert caught.value is error
    assert find_outage(error) is None


def test_postgres_s_own_errors_are_told_apart(session: Session) -> None:
    for statement, outage in (
        ("select * from no_such_table", Outage.UNMIGRATED),
        ("select no_such_column from payments", Outage.UNMIGRATED),
        ("set local statement_timeout = 20; select pg_sleep(5)", Outage.AWAY),
        ("select pg_terminate_backend(pg_backend_pid())", Outage.AWAY),
    ):
        with pytest.raises(DatabaseUnavailable, match=outage.value), translate_errors():
            session.execute(text(statement))
        session.rollback()
    with pytest.raises(errors.ProgrammingError), translate_errors():
        session.execute(text("selekt 1"))


def test_no_other_place_says_which_errors_mean_it() -> None:
    """A bug's own error may be named anywhere, and the embedded server's start asks psycopg2."""
    ours = {"OperationalError", "InterfaceError", "ProgrammingError", "TimeoutError"}
    root = embedded.ROOT
    naming = {
        path.relative_to(root).as_posix()
        for room in ROOMS
        for path in (root / room).rglob("*.py")
        if ours & set(list_sqlalchemy_s(path))
    }
    assert naming == {"db/outages.py"}


def list_sqlalchemy_s(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            yield from (alias.name for alias in node.names)


# --- the receiver ------------------------------------------------------------------------------


@pytest.fixture
def receiver(engine: Engine) -> Iterator[Receiver]:
    receiver = Receiver(create_app(make_settings(), engine, lambda: NOW))
    yield receiver
    receiver.stop()


@for_each_outage
def test_the_receiver_asks_for_the_event_again(
    receiver: Receiver, error: Exception, outage: Outage
) -> None:
    receiver.app.state.group_commit.sessions = Broken(error)
    answer = receiver.deliver(event())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


@pytest.mark.parametrize("error", BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_the_receiver_says_that_an_event_can_never_be_stored(
    receiver: Receiver, error: Exception
) -> None:
    receiver.app.state.group_commit.sessions = Broken(error)
    assert receiver.deliver(event()).status_code == 422


@pytest.mark.parametrize("error", BUGS.values(), ids=BUGS.keys())
def test_the_receiver_blames_no_event_for_a_bug_that_lets_nothing_be_kept(
    receiver: Receiver, error: Exception
) -> None:
    receiver.app.state.group_commit.sessions = Broken(error)
    answer = receiver.deliver(event())
    assert (answer.status_code, answer.json()) == (503, {"detail": "it could not be stored"})


def test_the_receiver_gives_up_no_event_for_what_is_not_its_fault(receiver: Receiver) -> None:
    answered = {}
    for code in ALL:
        receiver.app.state.group_commit.sessions = Broken(wrap(code))
        answered[code] = receiver.deliver(event()).status_code
    bad_input = {code for code in ALL if find_fault(code) is Fault.INPUT}
    assert {code for code, status in answered.items() if status == 422} == bad_input
    assert set(answered.values()) == {422, 503}


def test_a_bug_in_the_receiver_ends_neither_its_writer_nor_what_comes_after(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    group_commit = receiver.app.state.group_commit
    whole, group_commit.sessions = group_commit.sessions, Broken(TypeError("a bug"))
    assert receiver.deliver(event()).status_code == 503  # Whop delivers it again
    assert "could not record 1 event(s)" in caplog.text
    group_commit.sessions = whole
    assert receiver.deliver(event()).status_code == 200


@pytest.mark.parametrize("path", ["/stats/summary", "/payments/list"])
@for_each_outage
def test_the_api_asks_to_come_again(
    receiver: Receiver, path: str, error: Exception, outage: Outage
) -> None:
    receiver.app.state.sessions = Broken(error)
    answer = receiver.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json() == {"detail": outage.value}


@for_each_bug
def test_the_api_hides_no_bug(receiver: Receiver, error: Exception) -> None:
    receiver.app.state.sessions = Broken(error)
    with pytest.raises(type(error)):
        receiver.get("/stats/summary")


@for_each_outage
def test_the_readiness_probe_says_what_is_wrong(error: Exception, outage: Outage) -> None:
    assert unready_reason(SimpleNamespace(connect=fail(error))) is outage  # type: ignore[arg-type]


@for_each_outage
def test_the_mail_service_and_members_are_asked_to_come_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, outage: Outage
) -> None:
    receiver = MailReceiver(engine)
    monkeypatch.setattr(receiver.app.state.sessions, "class_", Broken(error))
    link = make_unsubscribe_url("", LINK_SECRET, 1)
    answers = [receiver.deliver(mail_event("delivered", 1))]
    answers += [receiver.request(method, link) for method in ("GET", "POST")]
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


@for_each_bug
def test_the_mail_routes_hide_no_bug(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    receiver = MailReceiver(engine)
    monkeypatch.setattr(receiver.app.state.sessions, "class_", Broken(error))
    with pytest.raises(type(error)):
        receiver.deliver(mail_event("delivered", 1))


# --- the dashboard -----------------------------------------------------------------------------


@pytest.fixture
def settings() -> DashboardSettings:
    return DashboardSettings(_env_file=None)


@for_each_outage
def test_the_dashboard_has_a_notice_for_it(
    settings: DashboardSettings, monkeypatch: pytest.MonkeyPatch, error: Exception, outage: Outage
) -> None:
    monkeypatch.setattr(database, "open_database", lambda settings: Broken(error))
    needs_update = outage in (Outage.UNMIGRATED, Outage.OUTDATED)
    wanted = Unavailable.UNMIGRATED if needs_update else Unavailable.AWAY
    assert database.read(settings, lambda session: 1) is wanted
    assert database.write(settings, lambda session: 1) is wanted
    assert database.find_company(settings) is wanted
    assert not health.ask_for_replay(settings, COMPANY)


@for_each_bug
def test_the_dashboard_hides_no_bug(
    settings: DashboardSettings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(database, "open_database", lambda settings: Broken(error))
    for act in (database.read, database.write):
        with pytest.raises(type(error)):
            act(settings, lambda session: 1)
    with pytest.raises(type(error)):
        health.ask_for_replay(settings, COMPANY)


def test_a_company_that_could_not_be_found_is_looked_for_again(
    settings: DashboardSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, _ = OUTAGES["no server"]
    monkeypatch.setattr(database, "open_database", lambda settings: Broken(error))
    read = database.for_company(settings, lambda settings, company_id: company_id)
    assert read is Unavailable.AWAY
    st.cache_data.clear()
    monkeypatch.setattr(database, "read", lambda settings, what: [COMPANY])
    assert database.for_company(settings, lambda settings, company_id: company_id) == COMPANY


# --- the daemon --------------------------------------------------------------------------------


@for_each_outage
def test_the_daemon_waits_a_minute(
    caplog: pytest.LogCaptureFixture, error: Exception, outage: Outage
) -> None:
    loop = Loop((60, fail(error)))
    loop.scheduler.run_all()
    assert sorted(job.interval for job in loop.scheduler.jobs) == [1, 60]
    assert f"work: {outage.value}; trying again in a minute" in caplog.text
    assert "Traceback" not in caplog.text


@for_each_bug
def test_the_daemon_tells_of_a_bug_and_goes_on_by_its_own_clock(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    loop = Loop((60, fail(error)))
    loop.scheduler.run_all()
    assert [job.interval for job in loop.scheduler.jobs] == [60]
    assert "work failed" in caplog.text


def run_cycle(error: Exception) -> int:
    cycle = Cycle(Broken(error), SimpleNamespace(), lambda: NOW, workers=1)  # type: ignore[arg-type]
    return cycle.drain(fail(error)).errors


def send_messages(error: Exception, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> int:
    """How often it was tried."""
    tried: list[int] = []

    def send_one() -> bool:
        tried.append(1)
        raise error

    message_sender = MessageSender(
        sessionmaker(engine),
        SimpleNamespace(),  # type: ignore[arg-type]
        None,
        lambda: NOW,
    )
    monkeypatch.setattr("daemon.messages.outbox.count_due", lambda *arguments: 1)
    monkeypatch.setattr(message_sender, "send_one", send_one)
    message_sender.send_due()
    return len(tried)


@for_each_outage
def test_a_cycle_and_the_sender_end_without_a_word(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    outage: Outage,
) -> None:
    """The loop's own next statement says it, once."""
    assert run_cycle(error) == 1
    assert send_messages(error, monkeypatch, engine) == 1
    assert caplog.text == ""


@for_each_bug
def test_a_cycle_and_the_sender_pass_a_bug_over_and_tell_of_it(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    assert run_cycle(error) == MOST_ERRORS
    assert "a payment could not be processed" in caplog.text
    assert send_messages(error, monkeypatch, engine) == MOST_ERRORS
    assert "a message could not be sent" in caplog.text
