"""Revision 0008: the audit list's words become codes, its jobs requests; and back."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Row, inspect, select, text, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from daemon.replays import Replayer
from db import migrate
from db.ledger import replays, requests
from db.models import AuditEntry, Request
from db.models.base import Word
from db.session import session_factory
from recovery.status import Action, RequestKind
from tests.factories import COMPANY, HOUR, HOURLY, NOW, fail_now
from tests.test_old_database import DERIVED
from tests.test_replays import read
from tests.two_companies import ANOTHER, fill_ours, fill_theirs

REVISION = "0008"
BEFORE = str(ScriptDirectory.from_config(migrate.config()).get_revision(REVISION).down_revision)
TAKEN = {"taken_at": "2026-11-01T00:00:00+00:00"}
OLD_ENTRIES: list[tuple[str, str | None, dict[str, Any]]] = [
    ("asked for a retry now", "pay_1", {}),
    ("stopped the work on it", "pay_1", {}),
    ("settings", None, {"accent": "changed"}),
    ("template", None, {"step": "notice", "restored": True}),
    ("replay", None, TAKEN),
    ("replay", None, {}),
    ("looked at it", "pay_2", {"why": "x"}),
]
ASKED_AT = NOW + 5 * HOUR
ADD_ENTRY = text(
    "insert into deeds (company_id, done_at, done_by, what, payment_id, details)"
    " values (:company, :at, :by, :what, :payment, cast(:details as jsonb))"
)
# What a daemon of before takes up.
FIND_JOBS = text(
    "select company_id, done_by, done_at from deeds"
    " where what = 'replay' and not jsonb_exists(details, 'taken_at') order by company_id"
)


@pytest.fixture
def old(empty_engine: Engine) -> Engine:
    """The database of before, with every kind of entry that there was."""
    migrate.upgrade(empty_engine, BEFORE)
    with Session(empty_engine) as session, session.begin():
        session.execute(text(f"insert into companies (id, time_zone) values ('{COMPANY}', 'UTC')"))
        for number, (what, payment_id, details) in enumerate(OLD_ENTRIES):
            add_entry(session, what, NOW + number * HOUR, payment_id, details)
    return empty_engine


@pytest.fixture
def full(empty_engine: Engine) -> Engine:
    """Today's database with two companies' rows in every table."""
    migrate.upgrade(empty_engine)
    with Session(empty_engine) as session:
        fill_ours(session, NOW)
        fill_theirs(session, NOW)
    return empty_engine


def add_entry(
    session: Session,
    what: str,
    at: datetime = NOW,
    payment_id: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    row = {"company": COMPANY, "at": at, "by": "dashboard", "what": what, "payment": payment_id}
    session.execute(ADD_ENTRY, row | {"details": json.dumps(details or {})})


def find_jobs(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(FIND_JOBS)]


def read_entries(engine: Engine) -> list[Row[Any]]:
    """In the names of that revision and of the one before."""
    with engine.connect() as connection:
        query = "select done_at, done_by, what, payment_id, details from deeds order by id"
        return list(connection.execute(text(query)).all())


def read_todays_entries(engine: Engine) -> list[Row[Any]]:
    with engine.connect() as connection:
        query = "select done_at, actor, action, payment_id, details from audit_log order by id"
        return list(connection.execute(text(query)).all())


def count_rows(engine: Engine) -> dict[str, int]:
    tables = set(inspect(engine).get_table_names()) - {
        "alembic_version",
        "requests",
        "deeds",
        "audit_log",
        "paces",
        "rate_limits",
    }
    with engine.connect() as connection:
        return {
            name: connection.scalar(text(f"select count(*) from {name}")) or 0
            for name in sorted(tables)
        }


# --- up ----------------------------------------------------------------------------------------


def test_known_words_become_codes_and_unknown_ones_are_kept(old: Engine) -> None:
    migrate.upgrade(old)
    with Session(old) as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        assert [(e.action, e.payment_id, e.details) for e in entries] == [
            (Action.RETRY, "pay_1", {}),
            (Action.STOP, "pay_1", {}),
            (Action.SETTINGS, None, {"accent": "changed"}),
            (Action.TEMPLATE, None, {"step": "notice", "restored": True}),
            (Action.REPLAY_EVENTS, None, TAKEN),
            (Action.REPLAY_EVENTS, None, {}),
            (Action.OTHER, "pay_2", {"why": "x", "words": "looked at it"}),
        ]


def test_a_replay_that_nobody_has_taken_up_becomes_a_request_and_is_honoured(old: Engine) -> None:
    migrate.upgrade(old)
    sessions = session_factory(old)
    with sessions() as session:
        (request,) = session.scalars(select(Request))
        assert (request.kind, request.payment_id) == (RequestKind.REPLAY, None)
        assert (request.requested_by, request.requested_at) == ("dashboard", ASKED_AT)
        assert replays.find_open(session, COMPANY) == ASKED_AT
    Replayer(sessions, HOURLY, lambda: NOW, read).replay_requested()
    with sessions() as session:
        assert replays.find_open(session, COMPANY) is None


def test_one_that_was_asked_for_twice_is_one_request(old: Engine) -> None:
    with Session(old) as session, session.begin():
        add_entry(session, "replay", NOW + 9 * HOUR)
    migrate.upgrade(old)
    with Session(old) as session:
        assert len(session.scalars(select(Request)).all()) == 1


# --- down --------------------------------------------------------------------------------------


def test_up_and_down_leaves_every_entry_as_it_was(old: Engine) -> None:
    before = read_entries(old)
    migrate.upgrade(old)
    migrate.downgrade(old, BEFORE)
    assert read_entries(old) == before
    assert find_jobs(old) == [(COMPANY, "dashboard", ASKED_AT)]


def test_of_two_replays_of_one_moment_only_the_open_one_is_a_job_again(
    empty_engine: Engine,
) -> None:
    migrate.upgrade(empty_engine, BEFORE)
    with Session(empty_engine) as session, session.begin():
        session.execute(text(f"insert into companies (id, time_zone) values ('{COMPANY}', 'UTC')"))
        add_entry(session, "replay", details=TAKEN)
        add_entry(session, "replay")
    before = read_entries(empty_engine)
    migrate.upgrade(empty_engine)
    migrate.downgrade(empty_engine, BEFORE)
    assert read_entries(empty_engine) == before


def test_an_open_replay_is_found_by_an_old_daemon_and_a_done_one_is_not(full: Engine) -> None:
    """Theirs is open; ours is asked for and done."""
    sessions = session_factory(full)
    with sessions.begin() as session:
        replays.ask(session, COMPANY, "maya", NOW)
    with sessions.begin() as session:
        for request in session.scalars(select(Request).where(Request.company_id == COMPANY)):
            request.done_at = NOW + HOUR
    migrate.downgrade(full, BEFORE)
    assert find_jobs(full) == [(ANOTHER, "Theirs asker", NOW)]
    ours = [entry for entry in read_entries(full) if entry.done_by == "maya"]
    assert [(entry.what, entry.details) for entry in ours] == [
        ("replay", {"taken_at": (NOW + HOUR).isoformat()})
    ]


def test_an_open_replay_without_an_entry_becomes_one(full: Engine) -> None:
    with Session(full) as session, session.begin():
        session.execute(text("delete from audit_log where action = 'replay_events'"))
    migrate.downgrade(full, BEFORE)
    assert find_jobs(full) == [(ANOTHER, "Theirs asker", NOW)]


def test_down_and_up_keeps_every_row_of_every_table(full: Engine) -> None:
    """A replay that is done is kept as its entry alone; this one is open."""
    query = "select kind, company_id, payment_id, requested_by, requested_at, done_at from requests"
    with full.connect() as connection:
        asked = set(connection.execute(text(query)))
    counts, entries = count_rows(full), read_todays_entries(full)
    migrate.downgrade(full, BEFORE)
    there = {name: number for name, number in count_rows(full).items() if name not in DERIVED}
    assert there == {name: counts[name] for name in there}
    migrate.upgrade(full)
    with full.connect() as connection:
        assert set(connection.execute(text(query))) == asked
    assert read_todays_entries(full) == entries
    assert {name: count_rows(full)[name] for name in there} == there


# --- a process of before at a newer database ---------------------------------------------------


@pytest.mark.parametrize("what", ["asked for a retry now", "stopped the work on it", "replay"])
def test_it_is_refused_what_nobody_would_take_up_or_could_read(full: Engine, what: str) -> None:
    migrate.downgrade(full, REVISION)
    with Session(full) as session, pytest.raises(IntegrityError, match="ck_deeds_what"):
        add_entry(session, what)


def test_it_does_not_take_a_replay_for_a_charge(session: Session) -> None:
    """It stops at the unknown word, and what is asked for stays for today's daemon."""

    class OldKind(StrEnum):
        STOP = "stop"
        RETRY_NOW = "hasten"

    payment = fail_now(session, NOW)
    replays.ask(session, COMPANY, "dashboard", NOW)
    asked = requests.ask(session, payment.payment_id, RequestKind.STOP, "dashboard", NOW)
    session.commit()
    query = select(type_coerce(Request.kind, Word(OldKind))).where(Request.done_at.is_(None))
    with pytest.raises(ValueError, match="replay"):
        session.execute(query.order_by(Request.id).limit(1)).all()
    session.rollback()
    assert requests.fulfil_next(session, NOW, HOURLY) is asked
