"""A database of the version before, with rows in every table, becomes today's and goes back.

tests/data/version_0006.jsonl holds what that version's own code wrote: two creators with something
of every kind, every error of a sync, every kind of notice and mail event, open and done requests.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.orm import Session

from db import migrate
from db.models import CardBan, Payment
from recovery.declines import STICKS, DeclineClass
from recovery.payment_methods import identify_card, name_attempt
from recovery.status import UNPAID

OLD = "0006"
ROWS = Path(__file__).parent / "data" / "version_0006.jsonl"
# Summed up from the rest, and summed up anew where a figure is made another way.
DERIVED = {"daily_figures", "rollups", "late_changes"}
Rows = dict[str, list[dict[str, Any]]]


def read_old_rows() -> Rows:
    """By table, in an order in which they can be inserted."""
    rows: Rows = defaultdict(list)
    for line in ROWS.read_text().splitlines():
        for table, row in json.loads(line).items():
            rows[table].append(row)
    return rows


def dump(engine: Engine) -> Rows:
    tables = set(inspect(engine).get_table_names()) - {"alembic_version"}
    with engine.connect() as connection:
        return {
            table: sort(connection.scalars(text(f"select to_jsonb(t) from {table} t")).all())
            for table in tables
        }


def sort(rows: Any) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


@pytest.fixture
def old_engine(empty_engine: Engine) -> Engine:
    migrate.upgrade(empty_engine, OLD)
    with empty_engine.begin() as connection:
        for table, rows in read_old_rows().items():
            connection.execute(
                text(
                    f"insert into {table} overriding system value"
                    f" select * from json_populate_recordset(null::{table}, cast(:rows as json))"
                ),
                {"rows": json.dumps(rows)},
            )
            if "id" in rows[0] and isinstance(rows[0]["id"], int):
                counter = f"pg_get_serial_sequence('{table}', 'id')"
                connection.execute(text(f"select setval({counter}, max(id)) from {table}"))
    return empty_engine


def test_the_old_version_has_rows_in_every_table(old_engine: Engine):
    kept = dump(old_engine)
    assert all(kept.values()), [table for table, rows in kept.items() if not rows]
    assert kept == {table: sort(rows) for table, rows in read_old_rows().items()}


def test_it_goes_up_and_down_and_nothing_is_lost(old_engine: Engine):
    before = dump(old_engine)
    migrate.upgrade(old_engine)
    migrate.downgrade(old_engine, OLD)
    after = dump(old_engine)
    assert after.keys() == before.keys()
    for table in after.keys() - DERIVED:
        assert after[table] == before[table], table


def test_cards_that_were_refused_for_good_are_banned(old_engine: Engine):
    migrate.upgrade(old_engine)
    with Session(old_engine) as session:
        refused = session.scalars(select(Payment).where(Payment.decline_class.in_(STICKS))).all()
        bans = {ban.payment_id: ban for ban in session.scalars(select(CardBan))}
        unpaid = session.scalars(select(Payment).where(Payment.status.in_(UNPAID))).all()
    assert refused
    assert bans.keys() == {payment.payment_id for payment in refused}
    for payment in refused:
        ban, card = bans[payment.payment_id], identify_card(payment)
        assert identify_card(ban) == card
        attempt = name_attempt(payment.whop_failures, payment.last_attempt_at, card)
        assert (ban.attempt, ban.decline_class) == (attempt, payment.decline_class)
    assert {payment.first_decline_class for payment in unpaid} <= set(DeclineClass)
