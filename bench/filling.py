"""Fills a database with ten million payments of two years, like a large installation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, Engine, text

from db.reporting import rollup
from db.session import session_factory

PAYMENTS = 10_000_000
CHUNK = 500_000
# Payments per measured company. The rest is spread evenly over the others.
SIZES = {"biz_large": 300_000, "biz_small": 10_000}
LARGE, SMALL = SIZES
OTHERS = 1_000
IMPORTED_UNTIL = timedelta(days=640)

# In order of time, so that one company's rows are as far apart as in a real installation. Payments
# of the last five days are partly open. The first quarter of a year was imported, without decline
# codes. Invalid amounts and one product are rare: to find what is rare, or only far back, a query
# without an index reads all payments of the company.
FILL = """
insert into payments (
    payment_id, company_id, membership_id, member_id, user_id, member_name, member_email, product,
    billing_reason, amount, currency, amount_usd, failed_amount, failed_currency,
    failed_amount_usd, refunded_amount, kept_usd, reason, decline_code, decline_class, card_brand,
    card_last4, status, retry_count, failed_at, window_ends_at, last_attempt_at, next_retry_at,
    recovered_at, recovered_by, closed_reason, imported, held_out, observed_at, created_at
)
select
    'pay_' || lpad(to_hex(n * 2654435761 % 4294967296), 14, '0'),
    case when place < :large then 'biz_large' when place < :small then 'biz_small'
        else 'biz_' || lpad(cast(floor(random() * :others) as text), 6, '0') end,
    'mem_' || member, 'mber_' || member, 'user_' || member,
    (array['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gus', 'Hope'])[1 + member % 8]
        || ' ' || to_hex(member),
    'm' || member || '@example.com',
    case when member % 5000 = 0 then 'Founders'
        else (array['Basic', 'Pro', 'Lifetime coaching'])[1 + member % 3] end,
    'subscription_cycle', price, 'usd', case when fate > 0.999 then null else price end,
    price, 'usd', case when fate > 0.999 then null else price end,
    case when fate < 0.02 then price else 0 end,
    case when status = 'recovered' then case when fate < 0.02 then 0 else price end end,
    case when imported then 'Declined' else 'Insufficient funds' end,
    case when not imported then (array[
        'insufficient_funds', 'generic_decline', 'expired_card', 'invalid_amount'
    ])[1 + kind] end,
    case when imported then 'unknown'
        else (array['funds', 'issuer', 'card', 'amount'])[1 + kind] end,
    (array['visa', 'mastercard', 'amex'])[1 + member % 3],
    lpad(cast(member % 10000 as text), 4, '0'),
    status, 1, failed_at, failed_at + interval '5 days', failed_at,
    case when status = 'pending_retry' then failed_at + interval '5 days' end,
    case when status = 'recovered' then failed_at + fate * age end,
    case when status = 'recovered' then case when imported then 'without_us'
        else (array['retry', 'click', 'member', 'without_us'])[1 + member % 4] end end,
    case when status = 'permanent_fail' then 'window_closed' end,
    imported, case when place < :small and not imported then member % 10 = 0 end,
    failed_at, case when imported then cast(:imported_at as timestamptz) else failed_at end
from (
    select *, case
        when fate < 0.4 then 'recovered' when age >= interval '5 days' then 'permanent_fail'
        when fate < 0.7 then 'pending_retry' else 'failed' end as status,
        failed_at < :imported_at as imported
    from (
        select n, random() as place, random() as fate, cast(random() * 4999999 as int) as member,
            19 + 30 * (n % 3) as price,
            case when n % 997 = 0 then 3 else cast(floor(random() * 3) as int) end as kind,
            failed_at,
            least(cast(:now as timestamptz) - failed_at, interval '5 days') as age
        from (
            select n, :now - interval '730 days' * (1 - n / cast(:size as float)) as failed_at
            from generate_series(cast(:first as bigint), :last) as n
        ) as times
    ) as drawn
) as payments
"""

# One attempt and one message per payment of the two measured companies.
TRY_AND_WRITE = """
with known as (
    select payment_id, company_id, failed_at, status, id from payments
    where company_id = any(:measured) and not imported
), tried as (
    insert into attempts (
        payment_id, company_id, number, trigger, outcome, idempotency_key, started_at, sent_at,
        finished_at
    )
    select payment_id, company_id, 1, 'schedule',
        case status when 'recovered' then 'paid' else 'declined' end, 'key_' || payment_id,
        at, at, at
    from known, lateral (select failed_at + interval '6 hours' as at) as later
)
insert into messages (
    payment_id, company_id, step, channel, state, due_at, dispatched_at, sent_at,
    delivered_at, delivery_failure
)
select payment_id, company_id, 'payment_failed', 'email', 'sent', failed_at, failed_at, failed_at,
    case when id % 50 > 0 then failed_at end, case when id % 50 = 0 then 'bounced' end
from known
"""


def fill(engine: Engine, now: datetime, size: int = PAYMENTS) -> None:
    """Takes minutes and gigabytes; prints its progress."""
    began = monotonic()

    def print_progress(words: str) -> None:
        print(f"  {monotonic() - began:4.0f} s  {words}", flush=True)

    with engine.begin() as connection, without_indexes(connection, print_progress):
        connection.execute(text("set local statement_timeout = 0"))
        # Skips ten million checks of foreign keys.
        connection.execute(text("set local session_replication_role = replica"))
        add_companies(connection)
        shares = {"large": SIZES[LARGE] / size, "small": sum(SIZES.values()) / size}
        for first in range(1, size + 1, CHUNK):
            last = min(first + CHUNK - 1, size)
            values = {"now": now, "size": size, "first": first, "last": last, "others": OTHERS}
            values["imported_at"] = now - IMPORTED_UNTIL
            connection.execute(text(FILL), values | shares)
            print_progress(f"{last:,} payments")
        connection.execute(text(TRY_AND_WRITE), {"measured": list(SIZES)})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("set statement_timeout = 0"))
        connection.execute(text("vacuum (analyze) payments, attempts, messages"))
        connection.execute(text("reset statement_timeout"))
    print_progress("vacuumed, as Postgres does by itself after a while")
    update_rollups(engine, now)
    print_progress("daily sums rolled up, as the daemon does in its first cycle")


def add_companies(connection: Connection) -> None:
    names = [LARGE, SMALL, *(f"biz_{number:06}" for number in range(OTHERS))]
    add = text("insert into companies (id, time_zone) select unnest(:ids), 'America/New_York'")
    connection.execute(add, {"ids": names})


@contextmanager
def without_indexes(
    connection: Connection, print_progress: Callable[[str], None]
) -> Iterator[None]:
    """Drops the indexes and rebuilds them afterwards, which is faster than updating them."""
    find = text(
        "select indexname, indexdef from pg_indexes where tablename = 'payments'"
        " and indexname like 'ix%' order by indexname"
    )
    found = connection.execute(find).all()
    for name, _ in found:
        connection.execute(text(f"drop index {name}"))
    yield
    for name, definition in found:
        connection.execute(text(definition))
        print_progress(name)


def update_rollups(engine: Engine, now: datetime) -> None:
    sessions = session_factory(engine)
    with sessions() as session:
        behind = rollup.list_behind(session, now)
    for company_id in behind:
        with sessions.begin() as session:
            rollup.catch_up(session, company_id, now)
