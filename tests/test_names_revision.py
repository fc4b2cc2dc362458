"""Revision 0011: what was written under the former names is read under the field's names."""

from __future__ import annotations

import json

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from db import migrate
from db.company_settings.messaging import find_messaging_settings
from db.company_settings.notifications import find_notification_settings
from db.models import Attempt, AuditEntry, Message, Payment, Request, Sync
from recovery.delivery import DeliveryFailure
from recovery.status import ChargeMethod, RequestKind, Trigger
from tests.factories import COMPANY
from tests.test_old_database import old_engine as old_engine

BEFORE = str(ScriptDirectory.from_config(migrate.config()).get_revision("0011").down_revision)
SETTINGS = {"manners": {"note": "Hi"}, "alerts": {"on_trouble": True, "on_recovery": False}}
CHANGES = {"on_trouble": [False, True], "digest": [False, True]}


@pytest.fixture
def old(old_engine: Engine) -> Engine:
    """The database of before, with a value under each of the former names."""
    migrate.upgrade(old_engine, BEFORE)
    of_ours = {"id": COMPANY, "settings": json.dumps(SETTINGS), "changes": json.dumps(CHANGES)}
    with old_engine.begin() as connection:
        for statement in (
            "update companies set settings = cast(:settings as jsonb) where id = :id",
            "insert into deeds (company_id, done_at, done_by, what, details)"
            " values (:id, now(), 'maya', 'settings', cast(:changes as jsonb))",
            "update requests set kind = 'hasten', asked_by = 'maya' where kind = 'stop'",
            "update attempts set trigger = 'operator' where trigger = 'schedule'",
            "update payments set next_trigger = 'operator', next_means = 'backup_card'",
            "update messages set trouble = 'bounced', trouble_at = now()",
            "update syncs set trouble = 'no answer', error = 'unavailable'",
        ):
            connection.execute(text(statement), of_ours)
    return old_engine


def test_what_a_creator_chose_is_what_holds(old: Engine):
    migrate.upgrade(old)
    with Session(old) as session:
        assert find_messaging_settings(session, COMPANY).note == "Hi"
        notifications = find_notification_settings(session, COMPANY)
        assert (notifications.on_problem, notifications.on_recovery) == (True, False)
        entry = session.scalars(select(AuditEntry).where(AuditEntry.actor == "maya")).one()
        assert entry.details == {"on_problem": [False, True], "digest": [False, True]}


def test_what_was_recorded_is_read_under_the_new_names(old: Engine):
    migrate.upgrade(old)
    with Session(old) as session:
        assert RequestKind.RETRY_NOW in set(session.scalars(select(Request.kind)))
        assert "maya" in set(session.scalars(select(Request.requested_by)))
        assert Trigger.CREATOR in set(session.scalars(select(Attempt.trigger)))
        planned = select(Payment.next_trigger, Payment.next_charge_method).distinct()
        assert [tuple(row) for row in session.execute(planned)] == [
            (Trigger.CREATOR, ChargeMethod.BACKUP_CARD)
        ]
        failures = set(session.scalars(select(Message.delivery_failure)))
        assert failures == {DeliveryFailure.BOUNCED}
        assert set(session.scalars(select(Sync.error_detail))) == {"no answer"}
