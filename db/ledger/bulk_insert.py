"""Stores any number of events, and the payments they make known, in one round trip.

This is the receiver's hot path, so it is plain SQL with arrays and one JSON parameter: building the
same from expressions takes longer than Postgres needs to run it (docs/developers/speed.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from db.members import MEMBER_IDS
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
    returning payment_id, company_id, member_id, user_id, membership_id, failed_at"""
BAN = ", ".join(BAN_COLUMNS)
INSERT_BANS = f"""insert into card_bans ({BAN})
    select {", ".join(f"told.{column}" for column in BAN_COLUMNS)}
    from json_populate_recordset(cast(null as card_bans), $BANS) as told
    join created on created.payment_id = told.payment_id
    on conflict do nothing"""


def share(*names: str) -> str:
    """Rows of one of these ids, found by one look into the index of each. Arrays and not a join,
    for which Postgres may read everything."""
    return " or ".join(f"{name} = any(array(select {name} from created))" for name in names)


SAME = " or ".join(f"created.{name} = known.{name}" for name in MEMBER_IDS)
OF_MEMBER = f"""
    select payment_id from created
    join ($KNOWN) as known on created.company_id = known.company_id and ({SAME})
        and created.failed_at <= known.began"""
BANS = f"""
        select company_id, member_id, user_id, membership_id, 'infinity'::timestamptz as began
        from card_bans where {share(*MEMBER_IDS)}"""
# invariant 11: what was heard before the payment is looked at
FACTS = f"""
        select company_id, member_id, user_id, membership_id, 'infinity'::timestamptz as began
        from disputes where {share(*MEMBER_IDS)}
        union all
        select company_id, null, null, membership_id, 'infinity'
        from memberships where {share("membership_id")} and (renewal <> 'continues' or paused)
        union all
        select company_id, member_id, user_id, null, started_at
        from memberships where ({share("member_id", "user_id")})
            and started_at >= (select min(failed_at) from created)"""
# What is known already, as `Created` has it: what may forbid to collect is told by reviews.py. All
# payments are looked up together, since every delivery pays for each part, and all is one row. What
# this statement itself inserts is not seen.
CREATED = f"""
array(select payment_id from created),
array(
    select payment_id from webhook_events
    where {share("payment_id")} and applied_at is null and error is null
),
array({OF_MEMBER.replace("$KNOWN", BANS)}),
array({OF_MEMBER.replace("$KNOWN", FACTS)})
"""
INSERT_PAYMENTS = f"""
with created as ({INSERT.replace("$ROWS", "cast(%(rows)s as json)")}),
banned as ({INSERT_BANS.replace("$BANS", "cast(%(bans)s as json)")})
select {CREATED}
"""

TYPES = (*["text[]"] * 6, "boolean[]", "timestamptz", "json", "json")
GIVEN = (*EVENT_COLUMNS, "now", "rows", "bans")
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
), created as ({INSERT.replace("$ROWS", "$9")}),
banned as ({INSERT_BANS.replace("$BANS", "$10")})
select array(select event_id from stored), {CREATED}
"""
# Two statements in one round trip. The locks come first: in one order, so that two receivers cannot
# wait for each other, and as a statement of their own, so that the second statement sees what the
# previous holder of the locks committed. While Postgres inserts, the receiver's other thread has
# the interpreter to itself; each further round trip would mean waiting for the interpreter once
# more.
# A plan made while a table was nearly empty would read all of it later, hence `enable_seqscan`.
# invariant 2: one payment's events are applied one after the other
LOCK_ALL = """
select set_config('enable_seqscan', 'off', true),
    count(pg_advisory_xact_lock(hashtextextended(id, 0)))
from (select unnest($1) as id order by 1) as sorted
"""
# Prepared once per connection: parsing and planning took a seventh of the database's time.
STATEMENTS = {
    "lock_payments": (LOCK_ALL, {"locked": "text[]"}),
    "store_deliveries": (INSERT_ALL, dict(zip(GIVEN, TYPES, strict=True))),
}
PREPARE = ";".join(
    f"prepare {name} ({', '.join(given.values())}) as {statement}"
    for name, (statement, given) in STATEMENTS.items()
)
PREPARED = "its statements are prepared"
STORE = ";".join(
    f"execute {name} ({', '.join(f'%({value})s' for value in given)})"
    for name, (_, given) in STATEMENTS.items()
)


def write_in_full(statement: str, given: Mapping[str, str]) -> str:
    """For a pooler, whose next session has nothing prepared."""
    values = [f"cast(%({name})s as {kind})" for name, kind in given.items()]
    return re.sub(r"\$(\d+)", lambda found: values[int(found[1]) - 1], statement)


STORE_IN_FULL = ";".join(write_in_full(*one) for one in STATEMENTS.values())

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
    events_stored, *created = map(set, found)
    return events_stored, Created(*created)


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
    return Created(*map(set, found))


def write_rows(rows: Sequence[NewPayment] | Sequence[NewBan]) -> str:
    return orjson.dumps(rows, default=str).decode()
