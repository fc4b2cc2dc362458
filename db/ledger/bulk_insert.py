"""Stores any number of events, and the payments they make known, in one round trip.

This is the receiver's hot path, so it is plain SQL with arrays and one JSON parameter: building the
same from expressions takes longer than Postgres needs to run it (docs/developers/speed.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from db.connections import is_lent
from db.ledger.rows import (
    BAN_COLUMNS,
    EVENT_COLUMNS,
    PAYMENT_COLUMNS,
    Created,
    NewBan,
    NewEvent,
    NewPayment,
)
from db.models import LateChange

PAYMENT = ", ".join(PAYMENT_COLUMNS)
# Whop tells a product's id alone; its title may be known from an earlier payment.
TITLE = """coalesce(product, (
        select title from products
        where (products.company_id, products.product_id) = (told.company_id, told.product_id)
    ))"""
TOLD = ", ".join(TITLE if column == "product" else column for column in PAYMENT_COLUMNS)
INSERT = f"""insert into payments ({PAYMENT})
    select {TOLD} from json_populate_recordset(cast(null as payments), $ROWS) as told
    on conflict do nothing
    returning payment_id, company_id, membership_id, member_id, user_id, failed_at"""
BAN = ", ".join(BAN_COLUMNS)
INSERT_BANS = f"""insert into card_bans ({BAN})
    select {", ".join(f"told.{column}" for column in BAN_COLUMNS)}
    from json_populate_recordset(cast(null as card_bans), $BANS) as told
    join created on created.payment_id = told.payment_id
    on conflict do nothing"""
# Reports about this payment came before it and wait to be applied.
WAITS = """exists (
    select from webhook_events
    where webhook_events.payment_id = created.payment_id and applied_at is null and error is null
)"""
# Each part of these two is one look into an index, so that a new payment costs no round trip more;
# not `exists`, which Postgres may answer by reading the whole table.
# Another payment of the member has banned a card. (The bans of this statement are not seen here.)
BANNED = """coalesce(
    (select true from card_bans as known where known.company_id = created.company_id
        and known.member_id = created.member_id limit 1),
    (select true from card_bans as known where known.company_id = created.company_id
        and known.user_id = created.user_id limit 1),
    (select true from card_bans as known where known.company_id = created.company_id
        and known.membership_id = created.membership_id limit 1),
    false
)"""
# Something is known of its membership or its member that may forbid to collect it (reviews.py).
# invariant 11: what was heard before the payment is looked at
CONCERNED = """coalesce(
    (select true from memberships as known where known.company_id = created.company_id
        and known.membership_id = created.membership_id
        and (known.renewal <> 'continues' or known.paused) limit 1),
    (select true from memberships as known where known.company_id = created.company_id
        and known.member_id = created.member_id and known.started_at >= created.failed_at limit 1),
    (select true from memberships as known where known.company_id = created.company_id
        and known.user_id = created.user_id and known.started_at >= created.failed_at limit 1),
    (select true from disputes as known where known.company_id = created.company_id
        and known.member_id = created.member_id limit 1),
    (select true from disputes as known where known.company_id = created.company_id
        and known.user_id = created.user_id limit 1),
    (select true from disputes as known where known.company_id = created.company_id
        and known.membership_id = created.membership_id limit 1),
    false
)"""
LOOKS = f"{WAITS} as waits, {BANNED} as banned, {CONCERNED} as concerned"
INSERT_PAYMENTS = f"""
with created as ({INSERT.replace("$ROWS", "cast(%(rows)s as json)")}),
banned as ({INSERT_BANS.replace("$BANS", "cast(%(bans)s as json)")})
select payment_id, {LOOKS} from created
"""

TYPES = (*["text[]"] * 6, "boolean[]", "timestamptz", "json", "json")
GIVEN = [f"%({name})s" for name in (*EVENT_COLUMNS, "now", "rows", "bans")]
INSERT_ALL = f"""
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
, banned as ({INSERT_BANS.replace("$BANS", "$10")})
select event_id, null as payment_id, null as waits, null as banned, null as concerned from stored
union all
select null, payment_id, {LOOKS} from created
"""
# Prepared once per connection: parsing and planning took a seventh of the database's time.
PREPARE = f"prepare store_deliveries ({', '.join(TYPES)}) as {INSERT_ALL}"
PREPARED = "store_deliveries is prepared"
# Two statements in one round trip. The locks come first: in one order, so that two receivers cannot
# wait for each other, and as a statement of their own, so that the second statement sees what the
# previous holder of the locks committed. While Postgres inserts, the receiver's other thread has
# the interpreter to itself; each further round trip would mean waiting for the interpreter once
# more.
# invariant 2: one payment's events are applied one after the other
LOCK = "pg_advisory_xact_lock(hashtextextended(id, 0))"
LOCK_ALL = f"""
select count({LOCK})
from (select unnest(cast(%(locked)s as text[])) as id order by 1) as sorted;
"""
STORE = f"{LOCK_ALL} execute store_deliveries ({', '.join(GIVEN)})"


def write_in_full() -> str:
    """For a pooler, whose next session has nothing prepared."""
    values = [f"cast({given} as {kind})" for given, kind in zip(GIVEN, TYPES, strict=True)]
    return LOCK_ALL + re.sub(r"\$(\d+)", lambda found: values[int(found[1]) - 1], INSERT_ALL)


STORE_IN_FULL = write_in_full()

READ_EVENT = attrgetter(*EVENT_COLUMNS)

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
) -> tuple[set[str], dict[str, Created]]:
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
    found = connection.exec_driver_sql(choose_statement(connection), values).all()
    new = {row.event_id for row in found if row.event_id is not None}
    return new, read_created(row for row in found if row.payment_id is not None)


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
) -> dict[str, Created]:
    """Those that were not known."""
    record_late_change(session, list_failures(payments), now)
    rows = {"rows": write_rows(payments), "bans": write_rows(bans)}
    return read_created(session.connection().exec_driver_sql(INSERT_PAYMENTS, rows))


def read_created(rows: Iterable[Any]) -> dict[str, Created]:
    return {
        row.payment_id: Created(row.payment_id, row.waits, row.banned, row.concerned)
        for row in rows
    }


def write_rows(rows: Sequence[NewPayment] | Sequence[NewBan]) -> str:
    return orjson.dumps(rows, default=str).decode()
