"""The dashboard's queries compared with naive ones, with ten million payments in the table."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from time import perf_counter

import pandas as pd
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from bench import filling, refresh, scratch
from bench.figures import Target, lay_out, ratio
from bench.filling import LARGE, PAYMENTS, SIZES, SMALL
from bench.questions import CACHED, COUNTS, OVERVIEW, PAGES, Question
from db.session import now, session_factory

ROUNDS = 9
SLOW_ROUNDS = 3
LIMITS = {LARGE: 50, SMALL: 10}
# Reads every payment of the company, as before the daily sums existed.
RAW = text("""
select count(*), count(*) filter (where status = 'recovered'),
    sum(kept_usd) filter (where status = 'recovered'),
    sum(amount_usd) filter (where status in ('failed', 'pending_retry'))
from payments where company_id = :company_id
""")


def read_raw(session: Session, company_id: str, at: datetime) -> object:
    return session.execute(RAW, {"company_id": company_id}).one()


def read_with_pandas(session: Session, company_id: str, at: datetime) -> object:
    query = text("select * from payments where company_id = :company_id")
    rows = pd.read_sql(query, session.connection(), params={"company_id": company_id})
    days = rows["failed_at"].dt.tz_convert("America/New_York").dt.date
    return len(rows), rows["amount_usd"].sum(), rows.groupby(days)["amount_usd"].sum()


QUESTIONS = OVERVIEW | PAGES | COUNTS
PANDAS = "naive: all its payments into pandas"
NAIVE: dict[str, Question] = {
    "naive: sums over all its payments": read_raw,
    PANDAS: read_with_pandas,
}


@dataclass(slots=True)
class Times:
    """Milliseconds of one question: by company, one entry per round."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def add(self, company_id: str, seconds: float) -> None:
        self.taken.setdefault(company_id, []).append(seconds * 1000)

    def middle(self, company_id: str) -> float:
        return median(self.taken[company_id])


def run(seconds: float) -> list[Target]:
    others = os.getloadavg()[0]
    with scratch.folder() as home, scratch.postgres(home) as (server, engine):
        print(f"Filling a database with {PAYMENTS:,} payments…", flush=True)
        at = now()
        filling.fill(engine, at)
        times = measure(engine, at)
        report(times, PAYMENTS, others)
        return assess(times) + refresh.run(home, server, LARGE, seconds)


def measure(engine: Engine, at: datetime) -> dict[str, Times]:
    """Interleaves the questions, so that other load affects all of them alike."""
    sessions = session_factory(engine)
    times = {name: Times() for name in QUESTIONS | CACHED | NAIVE}
    for number in range(ROUNDS + 1):
        asked = QUESTIONS | (CACHED | NAIVE if number <= SLOW_ROUNDS else {})
        for name, question in asked.items():
            for company_id in SIZES:
                with sessions() as session:
                    began = perf_counter()
                    question(session, company_id, at)
                    taken = perf_counter() - began
                # The first round only warms up.
                if number:
                    times[name].add(company_id, taken)
    return times


def assess(times: dict[str, Times]) -> list[Target]:
    """Every query of the overview, and the slowest of the list's many queries."""
    targets = []
    for company_id, limit in LIMITS.items():
        chosen = {name: name for name in OVERVIEW}
        for kind, questions in (("pages", PAGES), ("counts", COUNTS)):
            slowest = max(questions, key=lambda name: times[name].middle(company_id))
            chosen[f"slowest of {len(questions)} {kind} of the list ({slowest})"] = slowest
        for words, name in chosen.items():
            found = times[name].middle(company_id)
            targets.append(
                Target(f"{words}, {SIZES[company_id]:,} rows", "<=", limit, found, " ms")
            )
    return targets


def report(times: dict[str, Times], filled: int, others: float) -> None:
    print(
        f"\nThe dashboard's queries with {filled:,} payments in the table: milliseconds, medians\n"
        f"of {ROUNDS} interleaved rounds ({SLOW_ROUNDS} of what is kept for minutes and of the "
        "naive ways),\nand how many times faster than pandas.\n"
    )
    heads = ["asked of a company with"]
    for size in SIZES.values():
        heads += [f"{size:,} rows", "of pandas"]
    parts = {
        "each refresh of the overview": OVERVIEW,
        "each refresh of the list": PAGES,
        "and beside it": COUNTS,
        "every five minutes at most": CACHED,
        "for comparison": NAIVE,
    }
    rows = [
        row
        for part, questions in parts.items()
        for row in ([part, *[""] * 2 * len(SIZES)], *(describe(one, times) for one in questions))
    ]
    print("\n".join(lay_out(heads, rows)))
    print(f"\nThe load before the start was {others:.1f} on {os.cpu_count()} cores.")


def describe(name: str, times: dict[str, Times]) -> list[str]:
    cells = [f"  {name}"]
    for company_id in SIZES:
        taken, naive = (times[one].middle(company_id) for one in (name, PANDAS))
        cells += [f"{taken:,.1f}", f"1/{ratio(naive, taken):,.0f}" if taken < naive else ""]
    return cells
