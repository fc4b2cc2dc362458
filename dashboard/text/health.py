"""Whether all is well, in words: each part green, amber or red, since when, and what to do.

Pure: `judge` gets the facts and the time. docs/operators/health.md lists the thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from dashboard.text.finding import Finding
from dashboard.text.health_links import (
    describe_delivery,
    describe_permissions,
    describe_sending,
    describe_webhooks,
    describe_whop,
)
from db.reporting.health import HealthFacts
from db.reporting.webhook_health import MOST_COUNTED
from recovery.health import CycleReport, CycleState, Level, assess_cycle, assess_daemon, grade
from recovery.wording import count, format_span

RETRY_LATE, RETRY_LOST = timedelta(hours=2), timedelta(hours=12)
MESSAGE_LATE, MESSAGE_LOST = timedelta(minutes=15), timedelta(hours=2)
UNKNOWN_LATE = timedelta(hours=2)
START = "Start it: python -m daemon. Until then nothing is charged and nobody is written to."
READ_LOG = "Read the daemon's log."
CYCLE_TODO = {
    CycleState.FINE: "",
    CycleState.ERRORS: "Some payments could not be worked on; the daemon's log says which. It "
    "tries again.",
    CycleState.LATE: READ_LOG,
    CycleState.LOST: READ_LOG,
    CycleState.NEVER: START,
}


def assess(facts: HealthFacts, now: datetime, head: str) -> list[Finding]:
    """`head`: the revision of the database that this code was written for."""
    return [
        describe_webhooks(facts, now),
        describe_daemon(facts, now),
        describe_cycle(facts, now),
        describe_whop(facts, now),
        describe_permissions(facts),
        describe_retries(facts, now),
        describe_unknown(facts, now),
        describe_events(facts),
        describe_messages(facts, now),
        describe_sending(facts),
        describe_delivery(facts),
        describe_database(facts, head),
    ]


def describe_daemon(facts: HealthFacts, now: datetime) -> Finding:
    level = assess_daemon(facts.heartbeat, now)
    if facts.heartbeat is None:
        return Finding("Daemon", level, "It has not run in the last week.", START)
    beat_at = facts.heartbeat.beat_at
    words = f"Its last sign of life was {format_span(now - beat_at)} ago."
    return Finding("Daemon", level, words, "" if level is Level.GREEN else START, beat_at)


def describe_cycle(facts: HealthFacts, now: datetime) -> Finding:
    state = assess_cycle(facts.heartbeat, now)
    cycled = facts.heartbeat.last_cycle_at if facts.heartbeat else None
    words = "No cycle has run."
    if facts.heartbeat is not None and cycled is not None:
        words = f"It ended {format_span(now - cycled)} ago{say_report(facts.heartbeat.report)}."
    return Finding("Last cycle", state.level, words, CYCLE_TODO[state], cycled)


def say_report(report: CycleReport | None) -> str:
    done = asdict(report) if report else {}
    return f": {', '.join(f'{number} {what}' for what, number in done.items())}" if done else ""


def describe_retries(facts: HealthFacts, now: datetime) -> Finding:
    due = facts.retries
    if not due.number or due.since is None:
        return Finding("Retries due", Level.GREEN, "None is waiting for its turn.")
    level = grade(now - due.since, RETRY_LATE, RETRY_LOST)
    words = f"{count(due.number, 'retry', 'retries')} due, the oldest for "
    todo = "" if level is Level.GREEN else "See the daemon and Whop above."
    return Finding("Retries due", level, f"{words}{format_span(now - due.since)}.", todo, due.since)


def describe_unknown(facts: HealthFacts, now: datetime) -> Finding:
    part, unknown = "Charges without an answer", facts.unknown
    if not unknown.number or unknown.since is None:
        return Finding(part, Level.GREEN, "Every charge has its outcome.")
    level = Level.AMBER if now - unknown.since > UNKNOWN_LATE else Level.GREEN
    words = f"Of {count(unknown.number, 'charge')} it is not known yet whether it worked."
    todo = "Nothing is charged again meanwhile: the next cycle asks Whop what became of each."
    return Finding(part, level, words, todo, unknown.since)


def describe_events(facts: HealthFacts) -> Finding:
    poison, part = facts.poison_count, "Events"
    more = "more than " if facts.waiting >= MOST_COUNTED else ""
    rest = f"{more}{facts.waiting:,} about payments that never failed are kept, unused."
    if not poison:
        return Finding(part, Level.GREEN, f"All could be applied; {rest}")
    words = f"{count(poison, 'event')} could not be applied; {rest}"
    todo = "Each is kept below with its error. After an update of this product, replay them."
    oldest = min(one.received_at for one in facts.poison) if facts.poison else None
    return Finding(part, Level.AMBER, words, todo, oldest)


def describe_messages(facts: HealthFacts, now: datetime) -> Finding:
    due = facts.messages
    if not due.number or due.since is None:
        return Finding("Messages due", Level.GREEN, "None is waiting to be sent.")
    level = grade(now - due.since, MESSAGE_LATE, MESSAGE_LOST)
    words = f"{count(due.number, 'message')} due, the oldest for {format_span(now - due.since)}."
    todo = "" if level is Level.GREEN else "See the daemon above and SendGrid below."
    return Finding("Messages due", level, words, todo, due.since)


def describe_database(facts: HealthFacts, head: str) -> Finding:
    revision = facts.revision or "none"
    if revision == head:
        return Finding("Database", Level.GREEN, f"It answers, at revision {revision}.")
    todo = "Run python -m db migrate, then start the processes again."
    words = f"It is at revision {revision}; this version was written for {head}."
    return Finding("Database", Level.AMBER, words, todo)


def sum_up(findings: Sequence[Finding]) -> Level:
    """The worst of them; what has no word yet is no trouble."""
    levels = {finding.level for finding in findings}
    for level in (Level.RED, Level.AMBER):
        if level in levels:
            return level
    return Level.GREEN
