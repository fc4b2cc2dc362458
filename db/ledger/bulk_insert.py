"""Stores any number of events, and the payments they make known, in one round trip."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from db.connections import is_lent
from db.ledger.bulk_statements import (
    INSERT_PAYMENTS,
    PREPARE,
    PREPARED,
    STORE,
    STORE_IN_FULL,
)
from db.ledger.rows import (
    EVENT_COLUMNS,
    Created,
    NewBan,
    NewEvent,
    NewPayment,
)
from db.members import MEMBER_IDS
from db.models import LateChange

READ_EVENT = attrgetter(*EVENT_COLUMNS)
# A company's id, and the ids of MEMBER_IDS: those that are known of one of its members.
Owner = list[str | None]

LATE = timedelta(days=1)


def record_late_change(
    session: Session, moments: Iterable[tuple[str, datetime]], now: datetime
) -> None:
    """Marks days for the rollup. `moments`: company and time of each failure; those of the last day
    need no mark, since their days are not summed up yet."""
    late = {(company_id, at) for company_id, at in moments if at < now - LATE}
    if late:
        session.execute(
            insert(LateChange),
            [{"company_id": company_id, "happened_at": at} for company_id, at in sorted(late)],
        )


def list_failures(payments: Iterable[NewPayment]) -> Iterator[tuple[str, datetime]]:
    return ((payment.company_id, payment.failed_at) for payment in payments)


def store(
    session: Session,
    events: Sequence[NewEvent],
    payments: Sequence[NewPayment],
    bans: Sequence[NewBan],
    now: datetime,
) -> tuple[set[str], Created]:
    """Returns the ids of the new events, and the new payments.

    Until the transaction ends, others with events about the same payments wait: one payment's
    events are applied one after the other.
    """
    columns = zip(*map(READ_EVENT, events), strict=True)
    values: dict[str, Any] = dict(zip(EVENT_COLUMNS, map(list, columns), strict=True))
    values |= {
        "locked": sorted({event.payment_id for event in events if event.payment_id}),
        "rows": write_rows(payments),
        "bans": write_rows(bans),
        "now": now,
    }
    record_late_change(session, list_failures(payments), now)
    connection = session.connection()
    found = connection.exec_driver_sql(choose_statement(connection), values).one()
    events_stored, *known = found
    return set(events_stored), read_created(payments, *known)


def read_created(
    payments: Sequence[NewPayment],
    created: list[str],
    awaited: list[str],
    bans: list[Owner],
    facts: list[Owner],
) -> Created:
    new = set(created)
    return Created(
        new,
        new.intersection(awaited),
        new.intersection(list_of(payments, bans)),
        new.intersection(list_of(payments, facts)),
    )


def list_of(payments: Iterable[NewPayment], owners: Collection[Owner]) -> Iterator[str]:
    """The payments of one of these, who are told by their company and MEMBER_IDS."""
    if not owners:
        return
    ids = {
        (company_id, name, value)
        for company_id, *values in owners
        for name, value in zip(MEMBER_IDS, values, strict=True)
        if value is not None
    }
    for one in payments:
        if any((one.company_id, name, getattr(one, name)) in ids for name in MEMBER_IDS):
            yield one.payment_id


def choose_statement(connection: Connection) -> str:
    if is_lent(connection):
        return STORE_IN_FULL
    if PREPARED not in connection.info:
        connection.exec_driver_sql(PREPARE)
        connection.info[PREPARED] = True
    return STORE


LOCK_ONE = "select pg_advisory_xact_lock(hashtextextended(%(id)s, 0))"


def lock_events(session: Session, payment_ids: Iterable[str]) -> None:
    """The same locks, for reports that are not events."""
    for payment_id in sorted(payment_ids):
        session.connection().exec_driver_sql(LOCK_ONE, {"id": payment_id})


def insert_payments(
    session: Session, payments: Sequence[NewPayment], bans: Sequence[NewBan], now: datetime
) -> Created:
    """Those that were not known."""
    record_late_change(session, list_failures(payments), now)
    rows = {"rows": write_rows(payments), "bans": write_rows(bans)}
    found = session.connection().exec_driver_sql(INSERT_PAYMENTS, rows).one()
    return read_created(payments, *found)


def write_rows(rows: Sequence[NewPayment] | Sequence[NewBan]) -> str:
    return orjson.dumps(rows, default=str).decode()
