"""The health page's findings: the state of each part, since when, and what to do about it.

Pure. docs/operators/health.md lists the thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dashboard.text.finding import Finding
from dashboard.text.health_links import (
    describe_account_refusals,
    describe_delivery,
    describe_permissions,
    describe_sending,
    describe_webhooks,
    describe_whop,
)
from db.reporting.health import HealthFacts
from recovery.health import CycleReport, CycleState, Level, assess_cycle, assess_daemon, grade
from recovery.wording import count, format_span

RETRY_LATE, RETRY_LOST = timedelta(hours=2), timedelta(hours=12)
MESSAGE_LATE, MESSAGE_LOST = timedelta(minutes=15), timedelta(hours=2)
UNKNOWN_LATE = timedelta(hours=2)
START = "Start it: python -m daemon. Until it runs, nothing is retried and no message is sent."
READ_LOG = "Check the daemon's log."
CYCLE_ADVICE = {
    CycleState.FINE: "",
    CycleState.ERRORS: "Some payments could not be processed; the daemon's log names them. The "
    "next cycle tries them again.",
    CycleState.LATE: READ_LOG,
    CycleState.LOST: READ_LOG,
    CycleState.NEVER: START,
}


def assess(facts: HealthFacts, now: datetime, head: str) -> list[Finding]:
    """`head`: the database revision that this version needs."""
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
        *describe_account_refusals(facts),
        describe_delivery(facts),
        describe_database(facts, head),
    ]


def describe_daemon(facts: HealthFacts, now: datetime) -> Finding:
    level = assess_daemon(facts.heartbeat, now)
    if facts.heartbeat is None:
        return Finding("Daemon", level, "It has not run in the past week.", START)
    beat_at = facts.heartbeat.beat_at
    words = f"Last active {format_span(now - beat_at)} ago."
    return Finding("Daemon", level, words, "" if level is Level.GREEN else START, beat_at)


def describe_cycle(facts: HealthFacts, now: datetime) -> Finding:
    state = assess_cycle(facts.heartbeat, now)
    cycled = facts.heartbeat.last_cycle_at if facts.heartbeat else None
    words = "No cycle has run yet."
    if facts.heartbeat is not None and cycled is not None:
        done = describe_report(facts.heartbeat.report)
        words = f"Finished {format_span(now - cycled)} ago{done}."
    return Finding("Last cycle", state.level, words, CYCLE_ADVICE[state], cycled)


def describe_report(report: CycleReport | None) -> str:
    if report is None:
        return ""
    counts = (
        count(report.settled, "charge confirmed", "charges confirmed"),
        count(report.found, "missed failure found", "missed failures found"),
        count(report.retried, "payment retried", "payments retried"),
        count(report.closed, "payment closed", "payments closed"),
        count(report.errors, "error"),
    )
    return f": {', '.join(counts)}"


def describe_retries(facts: HealthFacts, now: datetime) -> Finding:
    due = facts.retries
    if not due.number or due.since is None:
        return Finding("Retries due", Level.GREEN, "No retry is overdue.")
    level = grade(now - due.since, RETRY_LATE, RETRY_LOST)
    waited = format_span(now - due.since)
    words = f"{count(due.number, 'retry', 'retries')} due; the oldest has waited {waited}."
    advice = "" if level is Level.GREEN else "Check the daemon and Whop above."
    return Finding("Retries due", level, words, advice, due.since)


def describe_unknown(facts: HealthFacts, now: datetime) -> Finding:
    part, unknown = "Unconfirmed charges", facts.unknown
    if not unknown.number or unknown.since is None:
        return Finding(part, Level.GREEN, "Every charge has a confirmed result.")
    level = Level.AMBER if now - unknown.since > UNKNOWN_LATE else Level.GREEN
    words = f"{count(unknown.number, 'charge has', 'charges have')} no confirmed result yet."
    advice = "The next cycle asks Whop about each; none is charged again until the answer is known."
    return Finding(part, level, words, advice, unknown.since)


def describe_events(facts: HealthFacts) -> Finding:
    poison, part = facts.poison_count, "Events"
    if not poison:
        return Finding(part, Level.GREEN, "Every event was processed.")
    words = f"{count(poison, 'event')} could not be processed."
    advice = "See the errors below. After an update, replay the events."
    oldest = min(one.received_at for one in facts.poison) if facts.poison else None
    return Finding(part, Level.AMBER, words, advice, oldest)


def describe_messages(facts: HealthFacts, now: datetime) -> Finding:
    due = facts.messages
    if not due.number or due.since is None:
        return Finding("Messages due", Level.GREEN, "No message is overdue.")
    level = grade(now - due.since, MESSAGE_LATE, MESSAGE_LOST)
    waited = format_span(now - due.since)
    words = f"{count(due.number, 'message')} due; the oldest has waited {waited}."
    advice = "" if level is Level.GREEN else "Check the daemon above and SendGrid below."
    return Finding("Messages due", level, words, advice, due.since)


def describe_database(facts: HealthFacts, head: str) -> Finding:
    revision = facts.revision or "none"
    if revision == head:
        return Finding("Database", Level.GREEN, "Up to date.")
    advice = "Run python -m db migrate, then restart the processes."
    words = f"Its revision is {revision}; this version needs {head}."
    return Finding("Database", Level.AMBER, words, advice)


def sum_up(findings: Sequence[Finding]) -> Level:
    """The worst of them. No data yet is not a problem."""
    levels = {finding.level for finding in findings}
    for level in (Level.RED, Level.AMBER):
        if level in levels:
            return level
    return Level.GREEN
