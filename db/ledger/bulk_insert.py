"""The hot path's one round trip: any number of events with the payments they make known.

Plain SQL with arrays and one JSON parameter, handed to the driver as it is: building the same from
expressions costs more of the receiver's time than Postgres needs to run it (docs/speed.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.models import LateChange

COLUMNS = (
    "payment_id, company_id, membership_id, member_id, member_name, member_email, product,"
    " billing_reason, amount, currency, amount_usd, refunded_amount, reason, decline_code,"
    " decline_class, card_brand, card_last4, card_expiry, payment_method_id, user_id, recovery_url,"
    " status, next_retry_at, closed_reason, retryable, whop_failures, failed_at, window_ends_at,"
    " last_attempt_at, whop_next_attempt_at, whop_said_at, next_means, next_trigger, next_step,"
    " next_message_at, imported, held_out, as_of, created_at"
)
INSERT = f"""insert into payments ({COLUMNS})
    select {COLUMNS} from json_populate_recordset(cast(null as payments), $ROWS)
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
    text[], text[], text[], text[], text[], boolean[], text[], timestamptz, json
) as
with stored as (
    insert into webhook_events
        (event_id, type, company_id, payment_id, payload, received_at, applied_at, error)
    select event_id, type, company_id, payment_id, cast(payload as jsonb), $8,
        case when applied then $8 end, error
    from unnest($1, $2, $3, $4, $5, $6, $7)
        as given (event_id, type, company_id, payment_id, payload, applied, error)
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
STORE = """
select count(pg_advisory_xact_lock(hashtextextended(id, 0)))
from (select unnest(cast(%(locked)s as text[])) as id order by 1) as sorted;

execute store_deliveries (
    %(event_ids)s, %(types)s, %(company_ids)s, %(payment_ids)s, %(payloads)s, %(applied)s,
    %(errors)s, %(now)s, %(rows)s
)
"""


LATE = timedelta(days=1)


def note_late(session: Session, rows: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """For the daily sums: what failed lately is on a day that nobody keeps yet."""
    late = {(row["company_id"], row["failed_at"]) for row in rows if row["failed_at"] < now - LATE}
    if late:
        session.execute(
            insert(LateChange),
            [{"company_id": company_id, "happened_at": at} for company_id, at in sorted(late)],
        )


def store(
    session: Session,
    events: Sequence[dict[str, Any]],
    payments: Sequence[dict[str, Any]],
    now: datetime,
) -> tuple[set[str], dict[str, bool]]:
    """The ids of the events that were new; each new payment's id, and whether reports about it
    were waiting in the inbox.

    From here to the end of the transaction everybody else's events about the same payments wait:
    one payment's events are applied one after the other.
    """
    values: dict[str, Any] = {
        f"{name}s": [row[name] for row in events]
        for name in ("event_id", "type", "company_id", "payment_id", "payload", "error")
    }
    values |= {
        "applied": [row["applied"] for row in events],
        "locked": sorted({row["payment_id"] for row in events if row["payment_id"]}),
        "rows": write_rows(payments),
        "now": now,
    }
    note_late(session, payments, now)
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
    session: Session, rows: Sequence[dict[str, Any]], now: datetime
) -> dict[str, bool]:
    """Each new payment's id, and whether reports about it are waiting in the inbox."""
    note_late(session, rows, now)
    found = session.connection().exec_driver_sql(INSERT_PAYMENTS, {"rows": write_rows(rows)})
    return {row.payment_id: row.waits for row in found}


def write_rows(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows, default=str).decode()
