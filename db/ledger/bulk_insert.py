"""Stores any number of events, and the payments they make known, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

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
    BAN_COLUMNS,
    Bans,
    Created,
    NewBan,
    NewEvent,
    NewPayment,
)
from db.members import group_by_payment
from db.models import LateChange
from db.session import find_connection
from recovery.declines import DeclineClass


class Owner(NamedTuple):
    """What is known of whose something is."""

    company_id: str | None
    member_id: str | None
    user_id: str | None
    membership_id: str | None


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
    payloads: list[str],
    payments: Sequence[NewPayment],
    bans: Bans,
    now: datetime,
) -> tuple[set[str], Created]:
    """Returns the ids of the new events, and the new payments. `payloads`: the events', in their
    order.

    Until the transaction ends, others with events about the same payments wait: one payment's
    events are applied one after the other.
    """
    values = {
        "locked": sorted({event.payment_id for event in events if event.payment_id}),
        "events": orjson.dumps(events).decode(),
        "payloads": payloads,
        "now": now,
        **write_payments(payments, bans),
    }
    record_late_change(session, list_failures(payments), now)
    connection = find_connection(session)
    found = connection.exec_driver_sql(choose_statement(connection), values).one()
    events_stored, *known = found
    return set(events_stored), read_created(payments, *known)


def read_created(
    payments: Sequence[NewPayment],
    created: list[str],
    awaited: list[str],
    bans: list[list[str | None]],
    facts: list[list[str | None]],
) -> Created:
    new = set(created)
    theirs = [payment for payment in payments if payment.payment_id in new]
    return Created(
        new,
        new.intersection(awaited),
        find_owned(theirs, [read_ban(one) for one in bans]),
        set(find_owned(theirs, [Owner._make(one) for one in facts])),
    )


def find_owned(payments: Sequence[NewPayment], rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Those of the payments' members, by the payments' ids, where there are any."""
    if not rows:
        return {}
    found = group_by_payment(rows, payments)
    return {payment_id: theirs for payment_id, theirs in found.items() if theirs}


def read_ban(values: list[str | None]) -> NewBan:
    told: dict[str, Any] = dict(zip(BAN_COLUMNS, values, strict=True))
    for name in ("observed_at", "recorded_at"):
        told[name] = datetime.fromisoformat(told[name])
    return NewBan(**told | {"decline_class": DeclineClass(told["decline_class"])})


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
    session: Session, payments: Sequence[NewPayment], bans: Bans, now: datetime
) -> Created:
    """Those that were not known."""
    record_late_change(session, list_failures(payments), now)
    values = write_payments(payments, bans)
    found = session.connection().exec_driver_sql(INSERT_PAYMENTS, values).one()
    return read_created(payments, *found)


def write_payments(payments: Sequence[NewPayment], bans: Bans) -> dict[str, Any]:
    return {
        "rows": orjson.dumps(payments, default=str).decode(),
        "banned": list(bans),
        "attempts": list(bans.values()),
    }
