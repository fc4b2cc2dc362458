"""Revision 0009 with rows in every table it touches: up, down, and up again."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from db import migrate
from recovery.status import NoticeChannel, SyncError

REVISION = "0009"
REVISED = ScriptDirectory.from_config(migrate.config()).get_revision(REVISION)
BEFORE = str(REVISED.down_revision)
# What there was then: kinds that came later are unknown to it.
KINDS = re.findall(r"\w+", REVISED.module.KINDS)
EVENTS = re.findall(r"\w+", REVISED.module.EVENTS)
SENTENCES = {
    "fine": None,
    "401": "Whop answered 401: who are you?",
    "403": "Whop answered 403: scope",
    "402": "Whop answered 402: fund your balance",
    "500": "Whop answered 500: (no message)",
    "down": "not sent: Whop has not answered since 09:15:04",
    "scope": "Whop does not let us read payments: payment:basic:read is missing",
    "odd": "",
}
ERRORS = {
    "fine": None,
    "401": SyncError.ACCESS_DENIED,
    "403": SyncError.ACCESS_DENIED,
    "402": SyncError.UNAVAILABLE,
    "500": SyncError.UNAVAILABLE,
    "down": SyncError.UNAVAILABLE,
    "scope": SyncError.PERMISSION_MISSING,
    "odd": SyncError.UNAVAILABLE,
}


@pytest.fixture
def old_engine(empty_engine: Engine) -> Engine:
    """At the revision before. Companies and messages are left out: their tables are not touched."""
    migrate.upgrade(empty_engine, BEFORE)
    with empty_engine.begin() as connection:
        for table, key in (
            ("syncs", "company_id"),
            ("notices", "company_id"),
            ("mail_events", "message_id"),
        ):
            name = f"fk_{table}_{key}"
            connection.execute(text(f"alter table {table} drop constraint if exists {name}"))
    return empty_engine


def run(engine: Engine, statement: str, *rows: Mapping[str, object]) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), list(rows) or None)


def read(engine: Engine, query: str) -> dict[str, object]:
    with engine.connect() as connection:
        return {str(name): value for name, value in connection.execute(text(query))}


def add_sync(engine: Engine) -> None:
    rows = [{"id": name, "words": words} for name, words in SENTENCES.items()]
    run(
        engine,
        "insert into syncs (company_id, since, trouble) values (:id, now(), :words)",
        *rows,
    )


def test_every_old_sentence_becomes_a_word_and_stays_for_people(old_engine: Engine):
    add_sync(old_engine)
    migrate.upgrade(old_engine, REVISION)
    assert read(old_engine, "select company_id, error from syncs") == ERRORS
    assert read(old_engine, "select company_id, trouble from syncs") == SENTENCES


def test_going_back_a_refused_key_is_said_as_older_code_knows_it(old_engine: Engine):
    add_sync(old_engine)
    migrate.upgrade(old_engine, REVISION)
    run(old_engine, "update syncs set trouble = 'Our key is not taken' where company_id = '401'")
    migrate.downgrade(old_engine, BEFORE)
    kept = read(old_engine, "select company_id, trouble from syncs")
    refused = re.compile("Whop answered 40[13]")
    assert {name for name, words in kept.items() if refused.match(str(words))} == {"401", "403"}
    assert kept == SENTENCES | {"401": "Whop answered 401: Our key is not taken"}
    migrate.upgrade(old_engine, REVISION)
    assert read(old_engine, "select company_id, error from syncs") == ERRORS


def add_notices(engine: Engine, *rows: tuple[str, str, str]) -> None:
    run(
        engine,
        "insert into notices (company_id, kind, occasion, channel, state, due_at)"
        " values ('biz', :kind, :occasion, :channel, 'sent', now())",
        *({"kind": kind, "occasion": of, "channel": channel} for kind, of, channel in rows),
    )


def test_notices_keep_what_was_told_whatever_they_say_of_the_channel(old_engine: Engine):
    known = [(kind, f"a {kind}", channel) for kind in KINDS for channel in NoticeChannel]
    odd = [
        ("recovery", "pay_1", "slack"),
        ("digest", "2026-W47", "letter"),
        ("recovery", "pay_2", "slack"),
        ("recovery", "pay_2", "discord"),
        ("recovery", "pay_3", "post"),
        ("recovery", "pay_3", "slack"),
        ("horoscope", "pay_4", "post"),
    ]
    add_notices(old_engine, *known, *odd)
    migrate.upgrade(old_engine, REVISION)
    mended = [
        ("recovery", "pay_1", "post"),
        ("digest", "2026-W47", "email"),
        ("recovery", "pay_2", "post"),
        ("recovery", "pay_3", "post"),
    ]
    with old_engine.connect() as connection:
        left = connection.execute(text("select kind, occasion, channel from notices")).all()
    assert sorted(tuple(row) for row in left) == sorted([*known, *mended])


def test_mail_events_of_an_unknown_kind_stay_and_say_the_least(old_engine: Engine):
    rows = [{"id": kind, "kind": kind} for kind in EVENTS]
    run(
        old_engine,
        "insert into mail_events (event_id, message_id, company_id, kind, happened_at,"
        " received_at) values (:id, 1, 'biz', :kind, now(), now())",
        *rows,
        {"id": "strange", "kind": "bounce"},
    )
    migrate.upgrade(old_engine, REVISION)
    kept = read(old_engine, "select event_id, kind from mail_events")
    assert kept == {row["id"]: row["kind"] for row in rows} | {"strange": "processed"}
    migrate.downgrade(old_engine, BEFORE)
    migrate.upgrade(old_engine, REVISION)
    assert read(old_engine, "select event_id, kind from mail_events") == kept


def test_an_interrupted_check_is_begun_anew(old_engine: Engine):
    run(
        old_engine,
        "alter table mail_events add constraint ck_mail_events_kind check (kind in ('x'))"
        " not valid",
    )
    migrate.upgrade(old_engine, REVISION)
    assert read(
        old_engine,
        "select conname, convalidated from pg_constraint where conname = 'ck_mail_events_kind'"
        " and pg_get_constraintdef(oid) like '%processed%'",
    ) == {"ck_mail_events_kind": True}


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("syncs", "error"),
        ("notices", "kind"),
        ("notices", "channel"),
        ("mail_events", "kind"),
    ],
)
def test_no_other_word_gets_in_afterwards(old_engine: Engine, table: str, column: str):
    add_sync(old_engine)
    add_notices(old_engine, ("digest", "a week", "email"))
    run(
        old_engine,
        "insert into mail_events (event_id, message_id, company_id, kind, happened_at,"
        " received_at) values ('1', 1, 'biz', 'opened', now(), now())",
    )
    migrate.upgrade(old_engine, REVISION)
    with pytest.raises(IntegrityError, match=f"ck_{table}_{column}"):
        run(old_engine, f"update {table} set {column} = 'another'")
