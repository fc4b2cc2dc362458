"""Daily sums of each company, so that a page reads days and not payments. Always exact.

Days are local days of the company (`companies.time_zone`). The sums of days before
`rollups.kept_until` are stored in `daily_figures`. Every reader adds the raw payments of the other
days, and of days that have changed since, in one statement (daily_sums.py) and so from one
snapshot. Why that is always exact:

1. Whatever changes a day's sums writes the affected moment into `late_changes` in the same
   transaction: a trigger does so for every update and delete, whoever makes it, and
   `record_late_change` for new payments that failed more than a day ago. Days with such a row are
   read raw.
2. `catch_up` first deletes a company's rows of `late_changes`, then sums up their days again. The
   changes behind the deleted rows are committed, so the later statements see them. A change that
   they do not see has not committed its row yet; once it does, its day is read raw again.
3. New payments that failed less than a day ago write no row, since that is the receiver's hot path.
   A day is stored a week after its end, so only a transaction that takes six days could be missed.
4. `catch_up` locks the company's row, so no two run at once and the time zone cannot change
   meanwhile. Days stored in another zone than the company's do not count: they are stored again.

Each company is one transaction, so a crash leaves all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import delete, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from db.company_settings.time_zones import read_zone
from db.models import Company, DailyFigures, Rollup
from db.reporting.daily_sums import FOUND, SUMS, bind_found
from recovery.retrying.transitions import WINDOW

# So that every window of a stored day is over: what has become of its failures changes by updates
# alone.
KEPT_AFTER = WINDOW + timedelta(days=2)
INSERT_DAYS = text(f"""{FOUND}
insert into daily_figures (company_id, day, {", ".join(SUMS)})
select :company_id, day, {", ".join(f"coalesce(sum({name}), 0)" for name in SUMS)}
from found where is_raw group by day
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
    session.execute(INSERT_DAYS, bind_found(company_id, zone, now, last=last, raw_days=changed))
    state = {"company_id": company_id, "time_zone": zone.key, "kept_until": until}
    keep = upsert(Rollup).values(state)
    session.execute(keep.on_conflict_do_update(index_elements=[Rollup.company_id], set_=state))


def rebuild(session: Session, company_id: str, now: datetime) -> None:
    """Stores every day again, with the same result as keeping up."""
    catch_up(session, company_id, now, from_scratch=True)
