"""The inbox: stores each event once and applies it to its payment, in one transaction.

One payment's events are applied one after the other (an advisory lock per payment), and a report
that comes before its payment is known waits in the inbox. So the order of arrival does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.company_settings.recovery import RecoverySettings, load_recovery_settings
from db.ledger import (
    banned_payments,
    bulk_insert,
    facts,
    new_payments,
    payment_reports,
    payments,
    reviews,
)
from db.ledger.facts import Concern
from db.ledger.refunds import record_refund
from db.ledger.rows import Created, NewEvent
from db.ledger.waiting_events import find_poison, list_waiting, mark_applied
from db.models import Payment, WebhookEvent
from recovery.reports import ParsedEvent, PaymentReport, find_disputes, find_memberships
from recovery.retrying.context import RetryRules

# Parses a stored payload; the second argument is the time it was received.
Reader = Callable[[Any, datetime], ParsedEvent]


@dataclass(slots=True)
class Event:
    """One delivery. `payload` is JSON. `parsed` None: `error` says why it could not be parsed (a
    poison event).

    Not frozen, as NewPayment.
    """

    event_id: str
    payload: str
    parsed: ParsedEvent | None
    type: str
    company_id: str | None = None
    payment_id: str | None = None
    error: str | None = None

    @property
    def starter(self) -> PaymentReport | None:
        """The report, if it is one that makes its payment known."""
        report = self.parsed.payment if self.parsed else None
        return report if report is not None and report.starts_dunning else None

    @property
    def has_news(self) -> bool:
        parsed = self.parsed
        return parsed is not None and any(
            (parsed.payment, parsed.refund, parsed.membership, parsed.dispute)
        )


def record(
    session: Session,
    events: Sequence[Event],
    now: datetime,
    rules: RetryRules,
    read: Reader,
    recovery_settings: Mapping[str, RecoverySettings] | None = None,
) -> None:
    """Stores new events and applies them. Repeating it changes nothing.

    `recovery_settings`: of every company whose payments these events may make known; None: they
    are loaded.
    """
    if not events:
        return
    unique: dict[str, Event] = {}
    for event in events:
        unique.setdefault(event.event_id, event)
    new, created, done = store(session, list(unique.values()), now, rules, recovery_settings)
    known = unique.keys() - new
    revived = find_poison(session, known) if known else set()
    to_apply = (new | revived) - done
    rest = [event for event in unique.values() if event.has_news and event.event_id in to_apply]
    if created.awaited:
        # invariant 2: what came before its payment waits for it
        rest = load_waiting(session, created.awaited, read) + rest
    applied = apply(session, rest, now, rules) if rest else set()
    new_payments.review_new(session, created, now, rules)
    mark_applied(session, applied | (done & revived), now)


def store(
    session: Session,
    events: Sequence[Event],
    now: datetime,
    rules: RetryRules,
    recovery_settings: Mapping[str, RecoverySettings] | None,
) -> tuple[set[str], Created, set[str]]:
    """Returns the ids of the new events; the new payments; and the ids of the events that made
    those known."""
    starters: dict[str, tuple[str, PaymentReport]] = {}
    for event in events:
        if (report := event.starter) is not None:
            starters.setdefault(report.payment_id, (event.event_id, report))
    reports = [report for _, report in starters.values()]
    if recovery_settings is None:
        recovery_settings = load_recovery_settings(
            session, {report.company_id for report in reports}
        )
    rows = [
        new_payments.describe_new(r, recovery_settings[r.company_id], now, rules) for r in reports
    ]
    bans = new_payments.name_banned(rows, reports)
    new, created = bulk_insert.store(
        session, [describe(e) for e in events], [e.payload for e in events], rows, bans, now
    )
    banned_payments.apply_to_new(session, created, rows, bans, now, rules)
    return new, created, {starters[payment_id][0] for payment_id in created.payments}


def describe(event: Event) -> NewEvent:
    """An event that makes a payment known is applied by storing it: no second update is needed."""
    return NewEvent(
        event_id=event.event_id,
        type=event.type,
        company_id=event.company_id,
        payment_id=event.payment_id,
        error=event.error,
        applied=event.starter is not None or not (event.has_news or event.error),
    )


def apply_waiting(
    session: Session, payment_ids: set[str], now: datetime, rules: RetryRules, read: Reader
) -> None:
    """Applies the reports that came before these payments were known."""
    if payment_ids:
        waiting = load_waiting(session, payment_ids, read)
        mark_applied(session, apply(session, waiting, now, rules), now)


def load_waiting(session: Session, payment_ids: set[str], read: Reader) -> list[Event]:
    return [parse_again(stored, read) for stored in list_waiting(session, payment_ids)]


def parse_again(stored: WebhookEvent, read: Reader) -> Event:
    parsed = read(stored.payload, stored.received_at)
    return Event(
        stored.event_id,
        json.dumps(stored.payload),
        parsed,
        parsed.type,
        parsed.company_id,
        parsed.payment_id,
    )


def apply(session: Session, events: Sequence[Event], now: datetime, rules: RetryRules) -> set[str]:
    """Returns the ids of those applied, in the given order. An event about an unknown payment
    waits."""
    # Before payments are locked: facts.py says why.
    concerns, settled = record_facts(session, events, now)
    known = payments.lock_payments(session, {e.payment_id for e in events if e.payment_id})
    applied = {event.event_id for event in events if apply_one(session, event, known, now, rules)}
    reviews.review_all(session, concerns, now, rules)
    return applied | settled


def record_facts(
    session: Session, events: Sequence[Event], now: datetime
) -> tuple[list[Concern], set[str]]:
    """Records what the events tell of memberships and members, whether or not a payment of theirs
    is known. Returns whom it concerns, and the ids of the events that tell of nothing else."""
    told = [(event.event_id, event.parsed) for event in events if event.parsed is not None]
    reports = [parsed.payment for _, parsed in told if parsed.payment is not None]
    memberships = [parsed.membership for _, parsed in told if parsed.membership is not None]
    settled = {event_id for event_id, parsed in told if parsed.membership is not None}
    concerns = facts.record_memberships(session, memberships + find_memberships(reports), now)
    disputes = [(parsed.dispute, {event_id}) for event_id, parsed in told if parsed.dispute]
    disputes += [(dispute, set()) for dispute in find_disputes(reports)]
    for dispute, told_by in sorted(disputes, key=lambda one: one[0].payment_id):
        concern = facts.record_dispute(session, dispute, now)
        concerns.append(concern)
        if not concern.anonymous:
            settled |= told_by
    return concerns, settled


def apply_one(
    session: Session, event: Event, known: dict[str, Payment], now: datetime, rules: RetryRules
) -> bool:
    parsed, payment = event.parsed, known.get(event.payment_id or "")
    if parsed is None or payment is None or not (parsed.payment or parsed.refund):
        return False
    if parsed.payment is not None:
        payment_reports.apply_report(session, payment, parsed.payment, now, rules)
    if parsed.refund is not None:
        record_refund(session, payment, parsed.refund)
    session.flush()
    return True
