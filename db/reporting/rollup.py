"""Daily sums of each company, so that a page reads days and not payments. Always exact.

Days are local days of the company (`companies.time_zone`). The sums of days before
`rollups.kept_until` are stored in `daily_figures`. Every reader adds the raw payments of the other
days, and of days that have changed since, in one statement (`FOUND`) and so from one snapshot. Why
that is always exact:

1. Whatever changes a day's sums writes the affected moment into `late_changes` in the same
   transaction: a trigger does so for every update and delete, whoever makes it, and
   `record_late_change` for new payments that failed more than a day ago. Days with such a row are
   read raw.
2. `catch_up` first deletes a company's rows of `late_changes`, then sums up their days again. The
   changes behind the deleted rows are committed, so the later statements see them. A change that
   they do not see has not committed its row yet; once it does, its day is read raw again.
3. New payments that failed less than a day ago write no row, since that is the receiver's hot path.
   A day is stored two days after its end, so only a transaction that takes a whole day could be
   missed.
4. `catch_up` locks the company's row, so no two run at once and the time zone cannot change
   meanwhile. Days stored in another zone than the company's do not count: they are stored again.

Each company is one transaction, so a crash leaves all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from db.company_settings.time_zones import read_zone
from db.models import Company, DailyFigures, Rollup

KEPT_AFTER = timedelta(days=2)
FROM_START, TO_END = "-infinity", "infinity"

# `found`: stored days as they are (`at` is null), and the raw events of all other days, each with
# its moment. Local midnights are no safe bounds, since clocks may change at that hour. So they only
# limit what the index returns, with a day to spare, and the local day decides.
FOUND = """
with state as (
    select kept_until from rollups where company_id = :company_id and time_zone = :zone
), stale as (
    select date(timezone(:zone, happened_at)) as day
    from late_changes where company_id = :company_id
    union
    select unnest(cast(:raw_days as date[]))
), spans as (
    select greatest(coalesce((select kept_until from state), '-infinity'), cast(:first as date))
        as first_day, cast(:last as date) as last_day
    union all
    select day, day from stale, state where day < kept_until and day >= cast(:first as date)
), bounds as (
    select first_day, last_day,
        timezone(:zone, cast(first_day as timestamp)) - interval '1 day' as since,
        timezone(:zone, cast(last_day as timestamp)) + interval '2 days' as until
    from spans
), found as (
    select day, cast(null as timestamptz) as at, failures, failed_usd, unconverted,
        by_retry, by_member, without_us, retry_usd, member_usd, without_us_usd
    from daily_figures
    where company_id = :company_id and day >= cast(:first as date)
        and day < (select kept_until from state) and day not in (select day from stale)
    union all
    select date(timezone(:zone, failed_at)), failed_at, 1, failed_amount_usd,
        case when failed_amount_usd is null or (status = 'recovered' and kept_usd is null)
            then 1 else 0 end,
        0, 0, 0, 0, 0, 0
    from bounds join payments
        -- invariant 6: figures are one company's
        on company_id = :company_id and failed_at >= since and failed_at < until
            -- Whop does not know the others (db/ledger/unknown_payments.py)
            and window_ends_at > failed_at
    where date(timezone(:zone, failed_at)) between first_day and last_day
    union all
    select day, at, 0, 0, 0,
        case when who = 'retry' then 1 else 0 end,
        case when who = 'member' then 1 else 0 end,
        case when who in ('retry', 'member') then 0 else 1 end,
        case when who = 'retry' then net end,
        case when who = 'member' then net end,
        case when who in ('retry', 'member') then null else net end
    from (
        select date(timezone(:zone, recovered_at)) as day, recovered_at as at,
            coalesce(recovered_by, 'without_us') as who, kept_usd as net
        from bounds join payments on company_id = :company_id and status = 'recovered'
            and recovered_at >= since and recovered_at < until
        where date(timezone(:zone, recovered_at)) between first_day and last_day
    ) as recovered
)
"""

SUMS = (
    "failures",
    "failed_usd",
    "unconverted",
    "by_retry",
    "by_member",
    "without_us",
    "retry_usd",
    "member_usd",
    "without_us_usd",
)
INSERT_DAYS = text(f"""{FOUND}
insert into daily_figures (company_id, day, {", ".join(SUMS)})
select :company_id, day, {", ".join(f"coalesce(sum({name}), 0)" for name in SUMS)}
from found where at is not null group by day
on conflict do nothing
""")
TAKE_CHANGES = text("""
with taken as (delete from late_changes where company_id = :company_id returning happened_at)
select distinct date(timezone(:zone, happened_at)) from taken
""")
LIST_STATES = text("""
select companies.id, companies.time_zone as chosen, rollups.time_zone as kept_in,
    rollups.kept_until,
    exists (select from late_changes where late_changes.company_id = companies.id) as has_changed
from companies left join rollups on rollups.company_id = companies.id
order by companies.id
""")


def bind_found(
    company_id: str,
    zone: ZoneInfo,
    *,
    first: date | str = FROM_START,
    last: date | str = TO_END,
    raw_days: Sequence[date] = (),
) -> dict[str, Any]:
    """The parameters of `FOUND`. `raw_days` are read raw even where they are stored."""
    return {
        "company_id": company_id,
        "zone": zone.key,
        "first": first,
        "last": last,
        "raw_days": list(raw_days),
    }


def list_behind(session: Session, now: datetime) -> Sequence[str]:
    """Companies with days to store, to store again, or stored too far because a clock was ahead."""
    behind = []
    for state in session.execute(LIST_STATES):
        # Not asked of the database, which would refuse all companies for the zone of one.
        zone = read_zone(session, state.chosen)
        kept = (state.kept_in, state.kept_until)
        if state.has_changed or kept != (zone.key, find_end(now, zone)):
            behind.append(state.id)
    return behind


def find_end(now: datetime, zone: ZoneInfo) -> date:
    """The first day that is too young to be stored."""
    return (now - KEPT_AFTER).astimezone(zone).date()


def catch_up(
    session: Session, company_id: str, now: datetime, *, from_scratch: bool = False
) -> None:
    """Brings one company up to date in the caller's transaction. Does nothing while another process
    does it. `from_scratch`: waits for that process, then stores every day again."""
    hold = select(Company.time_zone).where(Company.id == company_id)
    # A key share lock, so that payments of this company can still be inserted meanwhile.
    chosen = session.scalar(hold.with_for_update(key_share=True, skip_locked=not from_scratch))
    if chosen is None:
        return
    zone = read_zone(session, chosen)
    values = {"company_id": company_id, "zone": zone.key}
    changed = session.scalars(TAKE_CHANGES, values).all()
    kept_in, kept_until = session.execute(
        select(Rollup.time_zone, Rollup.kept_until).where(Rollup.company_id == company_id)
    ).one_or_none() or (None, None)
    old = delete(DailyFigures).where(DailyFigures.company_id == company_id)
    if kept_in == zone.key and not from_scratch:
        # Later days, if any, were stored while a clock was ahead, and may have changed since.
        ahead = DailyFigures.day >= kept_until
        old = old.where(or_(DailyFigures.day.in_(changed), ahead))
    else:
        session.execute(delete(Rollup).where(Rollup.company_id == company_id))
    session.execute(old)
    until = find_end(now, zone)
    last = until - timedelta(days=1)
    session.execute(INSERT_DAYS, bind_found(company_id, zone, last=last, raw_days=changed))
    state = {"company_id": company_id, "time_zone": zone.key, "kept_until": until}
    keep = upsert(Rollup).values(state)
    session.execute(keep.on_conflict_do_update(index_elements=[Rollup.company_id], set_=state))


def rebuild(session: Session, company_id: str, now: datetime) -> None:
    """Stores every day again, with the same result as keeping up."""
    catch_up(session, company_id, now, from_scratch=True)
