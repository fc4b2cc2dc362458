"""The sums of each local day, read from stored days and raw payments in one statement.

How the stored ones are kept exact is in rollup.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from recovery.status import CLAIMED, RecoveredBy

# The number of payments that each way recovered, and the word in `recovered_by`.
WAYS = {
    "by_retry": RecoveredBy.RETRY.value,
    "by_click": RecoveredBy.CLICK.value,
    "by_member": RecoveredBy.MEMBER.value,
    "without_us": RecoveredBy.WITHOUT_US.value,
}
FROM_START, TO_END = "-infinity", "infinity"

# How each sum is made of a payment, on the day of its failure …
FINAL = "status in ('recovered', 'permanent_fail')"
VALUED = "failed_amount_usd is not null and (status <> 'recovered' or kept_usd is not null)"
CLOSED = f"since_setup and window_ends_at <= :now and {FINAL}"
OURS = "recovered_by in ({})".format(", ".join(f"'{by}'" for by in CLAIMED))
CLOSED_AND_VALUED = f"{CLOSED} and {VALUED}"
KEPT = "cast(coalesce(kept_usd, 0) as float)"
FAILED = "cast(failed_amount_usd as float)"
BY_FAILURE = {
    "failures": "case when since_setup then 1 else 0 end",
    "failed_usd": "case when since_setup then failed_amount_usd end",
    "unconverted": f"case when since_setup and not ({VALUED}) then 1 else 0 end",
    "closed": f"case when {CLOSED} then 1 else 0 end",
    "closed_recovered": f"case when {CLOSED} and status = 'recovered' then 1 else 0 end",
    "closed_failed_usd": f"case when {CLOSED_AND_VALUED} then failed_amount_usd end",
    "closed_kept_usd": f"case when {CLOSED_AND_VALUED} then kept_usd end",
    "closed_ours_usd": f"case when {CLOSED_AND_VALUED} and {OURS} then kept_usd end",
    "closed_failed_squares": f"case when {CLOSED_AND_VALUED} then {FAILED} * {FAILED} end",
    "closed_products": f"case when {CLOSED_AND_VALUED} then {FAILED} * {KEPT} end",
    "closed_kept_squares": f"case when {CLOSED_AND_VALUED} then {KEPT} * {KEPT} end",
    "before_failures": "case when since_setup then 0 else 1 end",
}
# … and on the day that its money came.
BY_RECOVERY = {
    **{name: f"case when who = '{who}' then 1 else 0 end" for name, who in WAYS.items()},
    **{f"{who}_usd": f"case when who = '{who}' then kept_usd end" for who in WAYS.values()},
    # Before anything was given back.
    "paid_usd": "case when who <> 'before' then amount_usd end",
    "paid_squares": "case when who <> 'before' then cast(amount_usd as float) ^ 2 end",
    "before_recovered": "case when who = 'before' then 1 else 0 end",
    "before_usd": "case when who = 'before' then kept_usd end",
}
SUMS = (*BY_FAILURE, *BY_RECOVERY)
MONEY = ("_usd", "_squares", "_products")


def add_up(given: Mapping[str, str]) -> str:
    """Counts are cast, since sums of sums of them would no longer be whole numbers to Python."""
    sums = {
        name: f"coalesce(sum({each}), 0)"
        if name.endswith(MONEY)
        else f"cast(coalesce(sum({each}), 0) as int)"
        for name, each in given.items()
    }
    return ", ".join(sums.get(name, "0") for name in SUMS)


# `found`: stored days as they are, and the sums of the raw events of all other days. Local
# midnights are no safe bounds, since clocks may change at that hour. So they only limit what the
# index returns, with a day to spare, and the local day decides.
FOUND = f"""
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
    select day, false as is_raw, {", ".join(SUMS)}
    from daily_figures
    where company_id = :company_id and day >= cast(:first as date)
        and day < (select kept_until from state) and day not in (select day from stale)
    union all
    select day, true, {add_up(BY_FAILURE)}
    from (
        select *, date(timezone(:zone, failed_at)) as day
        from bounds join payments
            -- invariant 6: figures are one company's
            on company_id = :company_id and failed_at >= since and failed_at < until
                -- null: in no figure
                and since_setup is not null
    ) as failed
    where day between first_day and last_day
    group by day
    union all
    select day, true, {add_up(BY_RECOVERY)}
    from (
        select *, date(timezone(:zone, recovered_at)) as day,
            case when since_setup then coalesce(recovered_by, 'without_us') else 'before' end as who
        from bounds join payments on company_id = :company_id and status = 'recovered'
            and recovered_at >= since and recovered_at < until and since_setup is not null
    ) as recovered
    where day between first_day and last_day
    group by day
)
"""


def bind_found(
    company_id: str,
    zone: ZoneInfo,
    now: datetime,
    *,
    first: date | str = FROM_START,
    last: date | str = TO_END,
    raw_days: Sequence[date] = (),
) -> dict[str, Any]:
    """The parameters of `FOUND`. `raw_days` are read raw even where they are stored."""
    return {
        "company_id": company_id,
        "zone": zone.key,
        "now": now,
        "first": first,
        "last": last,
        "raw_days": list(raw_days),
    }
