"""Whether all is well, in words: each part green, amber or red, since when, and what to do.

Pure: `judge` gets the facts and the time. docs/dashboard.md lists the thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dashboard.text.payments import count, format_span
from db.reporting.health import MOST_COUNTED, Facts

QUIET = timedelta(days=1)
SILENT = timedelta(days=7)
BEAT_LATE, BEAT_LOST = timedelta(minutes=3), timedelta(minutes=15)
CYCLE_LATE, CYCLE_LOST = timedelta(hours=2), timedelta(hours=6)
READING_LATE = timedelta(hours=3)
RETRY_LATE, RETRY_LOST = timedelta(hours=2), timedelta(hours=12)
MESSAGE_LATE, MESSAGE_LOST = timedelta(minutes=15), timedelta(hours=2)
UNKNOWN_LATE = timedelta(hours=2)
COUNTS = ("settled", "found", "retried", "closed", "errors")


class Level(StrEnum):
    """The word that stands beside the colour."""

    GREEN = "Fine"
    AMBER = "Look"
    RED = "Broken"
    NONE = "No word yet"


@dataclass(frozen=True, slots=True)
class Finding:
    """`since`: when the present state began, or when it was last seen to be fine."""

    part: str
    level: Level
    words: str
    todo: str = ""
    since: datetime | None = None


def judge(facts: Facts, now: datetime, head: str) -> list[Finding]:
    """`head`: the revision of the database that this code was written for."""
    return [
        judge_webhooks(facts, now),
        judge_daemon(facts, now),
        judge_cycle(facts, now),
        judge_whop(facts, now),
        judge_permissions(facts),
        judge_retries(facts, now),
        judge_unknown(facts, now),
        judge_events(facts),
        judge_messages(facts, now),
        judge_mail(facts),
        judge_database(facts, head),
    ]


def grade(age: timedelta, late: timedelta, lost: timedelta) -> Level:
    if age > lost:
        return Level.RED
    return Level.AMBER if age > late else Level.GREEN


def judge_webhooks(facts: Facts, now: datetime) -> Finding:
    heard = facts.last_event_at
    if heard is None:
        return Finding(
            "Webhooks",
            Level.NONE,
            "No webhook has been heard.",
            "See whether the webhook in Whop's developer settings points to this receiver.",
        )
    level = grade(now - heard, QUIET, SILENT)
    todo = "A small company may just be quiet; if payments were made, see Whop's webhook log."
    words = f"The last one was heard {format_span(now - heard)} ago."
    return Finding("Webhooks", level, words, "" if level is Level.GREEN else todo, heard)


def judge_daemon(facts: Facts, now: datetime) -> Finding:
    if facts.pulse is None:
        return Finding("Daemon", Level.RED, "It has not run in the last week.", START)
    age = now - facts.pulse.beat_at
    level = grade(age, BEAT_LATE, BEAT_LOST)
    words = f"Its last sign of life was {format_span(age)} ago."
    return Finding(
        "Daemon", level, words, "" if level is Level.GREEN else START, facts.pulse.beat_at
    )


START = "Start it: python -m daemon. Until then nothing is charged and nobody is written to."


def judge_cycle(facts: Facts, now: datetime) -> Finding:
    cycled = facts.pulse.last_cycle_at if facts.pulse else None
    if facts.pulse is None or cycled is None:
        return Finding("Last cycle", Level.RED, "No cycle has run.", START)
    level = grade(now - cycled, CYCLE_LATE, CYCLE_LOST)
    counts = facts.pulse.details
    done = ", ".join(f"{counts[one]} {one}" for one in COUNTS if one in counts)
    words = f"It ended {format_span(now - cycled)} ago{f': {done}' if done else ''}."
    if level is not Level.GREEN:
        return Finding("Last cycle", level, words, "Read the daemon's log.", cycled)
    if facts.pulse.details.get("errors"):
        todo = "Some payments could not be worked on; the daemon's log says which. It tries again."
        return Finding("Last cycle", Level.AMBER, words, todo, cycled)
    return Finding("Last cycle", Level.GREEN, words, since=cycled)


def judge_whop(facts: Facts, now: datetime) -> Finding:
    down = facts.pulse.details.get("whop_down_since") if facts.pulse else None
    if down is not None:
        since = datetime.fromisoformat(down)
        todo = (
            "Nothing is lost: the daemon goes on by itself. See status.whop.com and WHOP_API_URL."
        )
        words = f"It has not answered for {format_span(now - since)}."
        return Finding("Whop", Level.RED, words, todo, since)
    reading = facts.reading
    if reading is None or (reading.read_until is None and not reading.trouble):
        todo = "The first cycle reads the history back; it may take some minutes."
        return Finding("Whop", Level.NONE, "Nothing has been read back yet.", todo)
    if reading.trouble and not reading.missing_permissions:
        todo = "See whether WHOP_API_KEY is valid for this company."
        said = f"Payments cannot be read back. Whop said: {reading.trouble}"
        return Finding("Whop", Level.RED, said, todo, reading.read_until)
    if reading.read_until is None or now - reading.read_until > READING_LATE:
        todo = "The daemon reads back in each cycle; its log says what is in the way."
        return Finding(
            "Whop", Level.AMBER, "Payments were not read back lately.", todo, reading.read_until
        )
    words = f"It answers; payments were read back {format_span(now - reading.read_until)} ago."
    return Finding("Whop", Level.GREEN, words, since=reading.read_until)


def judge_permissions(facts: Facts) -> Finding:
    if facts.reading is None:
        return Finding("Permissions", Level.NONE, "They are found out in the first cycle.")
    missing = facts.reading.missing_permissions
    if not missing:
        return Finding("Permissions", Level.GREEN, "Our key at Whop may do all it needs to.")
    todo = "Grant them to the key in Whop's developer settings; the next cycle notices."
    return Finding("Permissions", Level.RED, f"Missing: {', '.join(missing)}.", todo)


def judge_retries(facts: Facts, now: datetime) -> Finding:
    due = facts.retries
    if not due.number or due.since is None:
        return Finding("Retries due", Level.GREEN, "None is waiting for its turn.")
    level = grade(now - due.since, RETRY_LATE, RETRY_LOST)
    words = f"{count(due.number, 'retry', 'retries')} due, the oldest for "
    todo = "" if level is Level.GREEN else "See the daemon and Whop above."
    return Finding("Retries due", level, f"{words}{format_span(now - due.since)}.", todo, due.since)


def judge_unknown(facts: Facts, now: datetime) -> Finding:
    part, unknown = "Charges without an answer", facts.unknown
    if not unknown.number or unknown.since is None:
        return Finding(part, Level.GREEN, "Every charge has its outcome.")
    level = Level.AMBER if now - unknown.since > UNKNOWN_LATE else Level.GREEN
    words = f"Of {count(unknown.number, 'charge')} it is not known yet whether it worked."
    todo = "Nothing is charged again meanwhile: the next cycle asks Whop what became of each."
    return Finding(part, level, words, todo, unknown.since)


def judge_events(facts: Facts) -> Finding:
    poison, part = facts.poison_count, "Events"
    more = "more than " if facts.waiting >= MOST_COUNTED else ""
    rest = f"{more}{facts.waiting:,} about payments that never failed are kept, unused."
    if not poison:
        return Finding(part, Level.GREEN, f"All could be applied; {rest}")
    words = f"{count(poison, 'event')} could not be applied; {rest}"
    todo = "Each is kept below with its error. After an update of this product, replay them."
    oldest = min(one.received_at for one in facts.poison) if facts.poison else None
    return Finding(part, Level.AMBER, words, todo, oldest)


def judge_messages(facts: Facts, now: datetime) -> Finding:
    due = facts.messages
    if not due.number or due.since is None:
        return Finding("Messages due", Level.GREEN, "None is waiting to be sent.")
    level = grade(now - due.since, MESSAGE_LATE, MESSAGE_LOST)
    words = f"{count(due.number, 'message')} due, the oldest for {format_span(now - due.since)}."
    todo = "" if level is Level.GREEN else "See the daemon above and SendGrid below."
    return Finding("Messages due", level, words, todo, due.since)


def judge_mail(facts: Facts) -> Finding:
    mail, part = facts.mail, "SendGrid"
    broken = mail.failed + mail.unknown + mail.put_off
    if not mail.sent and not broken:
        return Finding(part, Level.NONE, "No mail was sent in the last 24 hours.")
    words = (
        f"In the last 24 hours {count(mail.sent, 'mail')} taken, {mail.failed} refused, "
        f"{mail.unknown} without an answer, {mail.put_off} put off."
    )
    sent, failed = mail.last_sent_at, mail.last_failed_at
    if failed is None or (sent is not None and sent >= failed):
        return Finding(part, Level.GREEN, words, since=sent)
    why = f" It said: {mail.detail}" if mail.detail else ""
    todo = "See whether SENDGRID_API_KEY is valid and EMAIL_FROM is a verified sender."
    level = Level.RED if not mail.sent else Level.AMBER
    return Finding(part, level, f"{words}{why}", todo, failed)


def judge_database(facts: Facts, head: str) -> Finding:
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
