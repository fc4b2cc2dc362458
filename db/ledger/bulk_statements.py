"""The statements of bulk_insert.py.

This is the receiver's hot path, so they are plain SQL with arrays and one JSON parameter: building
the same from expressions takes longer than Postgres needs to run it (docs/developers/speed.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from db.ledger.rows import BAN_COLUMNS, EVENT_COLUMNS, PAYMENT_COLUMNS
from db.members import MEMBER_IDS

# Whop tells a product's id alone; its title may be known from an earlier payment.
TITLE = """coalesce(product, (
        select title from products
        where (products.company_id, products.product_id) = (told.company_id, told.product_id)
    ))"""
# Where a column's value is not told by its name.
TOLD = {
    "product": TITLE,
    "first_decline_code": "decline_code",
    "first_decline_class": "decline_class",
    "failed_amount": "amount",
    "failed_currency": "currency",
    "failed_amount_usd": "amount_usd",
    "whop_plan_told": "whop_next_attempt_at is not null",
}
PAYMENT = (*PAYMENT_COLUMNS, *(name for name in TOLD if name not in PAYMENT_COLUMNS))
# What a ban repeats of its payment, and where it says so otherwise.
BAN_FROM_PAYMENT = [name for name in BAN_COLUMNS if name not in ("attempt", "recorded_at")]
BAN = {"decline_code": "coalesce(decline_code, '')", "recorded_at": "created_at"}
INSERT = f"""insert into payments ({", ".join(PAYMENT)})
    select {", ".join(TOLD.get(column, column) for column in PAYMENT)}
    from json_populate_recordset(cast(null as payments), $rows) as told
    on conflict do nothing
    returning {", ".join(BAN_FROM_PAYMENT)}, failed_at, created_at"""
INSERT_BANS = f"""insert into card_bans ({", ".join(BAN_COLUMNS)})
    select {", ".join(BAN.get(column, column) for column in BAN_COLUMNS)}
    from created join unnest($banned, $attempts) as banned (payment_id, attempt) using (payment_id)
    on conflict do nothing"""


# Of all new payments together: one look into each index finds what is known of them. Arrays and not
# joins, for which Postgres may read everything.
SHARED_IDS = ("payment_id", *MEMBER_IDS)
IDS = f"""ids as (
    select {", ".join(f"array_agg({name}) as {name}" for name in SHARED_IDS)},
        min(failed_at) as failed_at
    from created
)"""


def share(*names: str) -> str:
    """Rows of one of the new payments' ids."""
    return " or ".join(f"{name} = any(cast((select {name} from ids) as text[]))" for name in names)


BANS = f"""
    select json_build_array({", ".join(BAN_COLUMNS)}) from card_bans where {share(*MEMBER_IDS)}"""
# invariant 11: what was heard before the payment is looked at
FACTS = f"""
    select json_build_array(company_id, member_id, user_id, membership_id)
    from disputes where {share(*MEMBER_IDS)}
    union all
    select json_build_array(company_id, member_id, user_id, membership_id)
    from memberships
    where ({share("membership_id")} and (renewal <> 'continues' or paused))
        or (({share("member_id", "user_id")}) and started_at >= (select failed_at from ids))"""
# What is known already of the payments' members. What this statement itself inserts is not seen.
# All payments are looked up together, and all is one row: each part costs every delivery, used or
# not.
KNOWN = f"""
coalesce((select payment_id from ids), '{{}}'),
array(
    select payment_id from webhook_events
    where {share("payment_id")} and applied_at is null and error is null
),
array({BANS}),
array({FACTS})
"""
NEW = {"rows": "json", "banned": "text[]", "attempts": "text[]"}

EVENT = dict.fromkeys(EVENT_COLUMNS, "text") | {"applied": "boolean"}
# A payload within the JSON of its event would be read twice.
GIVEN = f"""rows from (
        json_to_recordset($events) as ({", ".join(map(" ".join, EVENT.items()))}),
        unnest($payloads)
    ) as given ({", ".join(EVENT)}, payload)"""
STORED = {"events": "json", "payloads": "text[]", "now": "timestamptz"}
INSERT_ALL = f"""
with stored as (
    insert into webhook_events
        (event_id, type, company_id, payment_id, payload, received_at, applied_at, error)
    select event_id, type, company_id, payment_id, cast(payload as jsonb), $now,
        case when applied then $now end, error
    from {GIVEN}
    on conflict do nothing
    returning event_id
), created as ({INSERT}), {IDS}, banned as ({INSERT_BANS})
select array(select event_id from stored), {KNOWN}
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
from (select unnest($locked) as id order by 1) as sorted
"""
# Prepared once per connection: parsing and planning took a seventh of the database's time.
STATEMENTS: dict[str, tuple[str, dict[str, str]]] = {
    "lock_payments": (LOCK_ALL, {"locked": "text[]"}),
    "store_deliveries": (INSERT_ALL, STORED | NEW),
}


def write_numbered(statement: str, given: Mapping[str, str]) -> str:
    """As `prepare` wants it."""
    numbers = {name: number for number, name in enumerate(given, start=1)}
    return re.sub(r"\$(\w+)", lambda found: f"${numbers[found[1]]}", statement)


def write_in_full(statement: str, given: Mapping[str, str]) -> str:
    """For a pooler, whose next session has nothing prepared."""
    return re.sub(r"\$(\w+)", lambda found: f"cast(%({found[1]})s as {given[found[1]]})", statement)


PREPARE = ";".join(
    f"prepare {name} ({', '.join(given.values())}) as {write_numbered(statement, given)}"
    for name, (statement, given) in STATEMENTS.items()
)
PREPARED = "its statements are prepared"
STORE = ";".join(
    f"execute {name} ({', '.join(f'%({value})s' for value in given)})"
    for name, (_, given) in STATEMENTS.items()
)
INSERT_PAYMENTS = write_in_full(
    f"with created as ({INSERT}), {IDS}, banned as ({INSERT_BANS}) select {KNOWN}", NEW
)
STORE_IN_FULL = ";".join(write_in_full(*one) for one in STATEMENTS.values())
