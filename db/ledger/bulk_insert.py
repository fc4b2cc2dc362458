"""The hot path's one round trip: any number of events with the payments they make known.

Plain SQL with arrays and one JSON parameter, handed to the driver as it is: building the same from
expressions costs more of the receiver's time than Postgres needs to run it
(docs/developers/speed.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.ledger.rows import EVENT_COLUMNS, PAYMENT_COLUMNS, NewEvent, NewPayment
from db.models import LateChange

PAYMENT = ", ".join(PAYMENT_COLUMNS)
INSERT = f"""insert into payments ({PAYMENT})
    select {PAYMENT} from json_populate_recordset(cast(null as payments), $ROWS)
    on conflict do nothing
    returning payment_id"""
# Something about this payment came before it and has not been applied.
WAITS = """exists (
    select from webhook_events
    where webhook_events.payment_id = created.payment_id and applied_at is null and error is null
)"""
INSERT_PAYMENTS = f"""
with created as ({INSERT.replace("$ROWS", "cast(%(rows)s as json)")})
select payment_id, {WAITS} as waits from created
"""

# Prepared once for each connection: reading and planning it took a seventh of the database's time.
PREPARE = f"""
prepare store_deliveries (
    text[], text[], text[], text[], text[], text[], boolean[], timestamptz, json
) as
with stored as (
    insert into webhook_events
        (event_id, type, company_id, payment_id, payload, received_at, applied_at, error)
    select event_id, type, company_id, payment_id, cast(payload as jsonb), $8,
        case when applied then $8 end, error
    from unnest($1, $2, $3, $4, $5, $6, $7)
        as given ({", ".join(EVENT_COLUMNS)})
    on conflict do nothing
    returning event_id
), created as ({INSERT.replace("$ROWS", "$9")})
select event_id, null as payment_id, null as waits from stored
union all
select null, payment_id, {WAITS} from created
"""
PREPARED = "store_deliveries is prepared"
# Two statements in one round trip. The locks come first, in one order, so that two receivers cannot
# wait for each other, and as a statement of their own, so that what follows sees what the one who
# held them before has committed. While Postgres inserts, the receiver's other thread has the
# interpreter to itself; each further round trip would mean waiting for it once more.
# invariant 2: one payment's events are applied one after the other
LOCK = "pg_advisory_xact_lock(hashtextextended(id, 0))"
STORE = f"""
select count({LOCK})
from (select unnest(cast(%(locked)s as text[])) as id order by 1) as sorted;

execute store_deliveries (
    {", ".join(f"%({name})s" for name in EVENT_COLUMNS)}, %(now)s, %(rows)s
)
"""

READ_EVENT = attrgetter(*EVENT_COLUMNS)

LATE = timedelta(days=1)


def record_late_change(
    session: Session, moments: Iterable[tuple[str, datetime]], now: datetime
) -> None:
    """For the daily sums: what failed lately, in a company, is on a day that nobody keeps yet."""
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
    now: datetime,
) -> tuple[set[str], dict[str, bool]]:
    """The ids of the events that were new; each new payment's id, and whether reports about it
    were waiting in the inbox.

    From here to the end of the transaction everybody else's events about the same payments wait:
    one payment's events are applied one after the other.
    """
    columns = zip(*map(READ_EVENT, events), strict=True)
    values: dict[str, Any] = dict(zip(EVENT_COLUMNS, map(list, columns), strict=True))
    values |= {
        "locked": sorted({event.payment_id for event in events if event.payment_id}),
        "rows": write_rows(payments),
        "now": now,
    }
    record_late_change(session, list_failures(payments), now)
    connection = session.connection()
    if PREPARED not in connection.info:
        connection.exec_driver_sql(PREPARE)
        connection.info[PREPARED] = True
    found = connection.exec_driver_sql(STORE, values).all()
    new = {row.event_id for row in found if row.event_id is not None}
    return new, {row.payment_id: row.waits for row in found if row.payment_id is not None}


LOCK_ONE = "select pg_advisory_xact_lock(hashtextextended(%(id)s, 0))"


def lock_events(session: Session, payment_ids: Iterable[str]) -> None:
    """The same locks, for those who speak about payments without an event."""
    for payment_id in sorted(payment_ids):
        session.connection().exec_driver_sql(LOCK_ONE, {"id": payment_id})


def insert_payments(
    session: Session, payments: Sequence[NewPayment], now: datetime
) -> dict[str, bool]:
    """Each new payment's id, and whether reports about it are waiting in the inbox."""
    record_late_change(session, list_failures(payments), now)
    rows = write_rows(payments)
    found = session.connection().exec_driver_sql(INSERT_PAYMENTS, {"rows": rows})
    return {row.payment_id: row.waits for row in found}


def write_rows(payments: Sequence[NewPayment]) -> str:
    return orjson.dumps(payments, default=str).decode()
