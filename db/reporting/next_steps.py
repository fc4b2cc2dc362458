"""Gathers what recovery/next_step.py looks at, for many payments of one company at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from db.company_settings.messaging import read_messaging_settings
from db.company_settings.recovery import RecoverySettings, find_recovery_settings
from db.ledger import requests
from db.ledger.payments import find_retry_context
from db.ledger.retry_context import describe_retry_context
from db.member_messages.eligibility import find_full_until
from db.member_messages.history import find_written_steps
from db.models import Attempt, Company, Message, Payment, Request
from db.reporting.attention import find_needs_of
from db.reporting.departures import (
    Departure,
    Prospects,
    Sending,
    foretell_message,
    gather_prospects,
)
from recovery.message_schedule import PlannedMessage, may_write
from recovery.next_step import NextStep, Situation, find_next_step
from recovery.retrying.context import RetryRules
from recovery.retrying.decisions import NoRetry, NoRetryReason, decide
from recovery.status import (
    UNPAID,
    UNSETTLED,
    Channel,
    MessageState,
    PaymentStatus,
    RequestKind,
    Step,
)

Lead = aliased(Message)
NOTHING = Departure(None, None)


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """`channels`: those that are switched on. `exact`: also what costs a query for each payment and
    changes no kind: how often the card was charged, and the messages that are not the next step."""

    now: datetime
    rules: RetryRules
    channels: Collection[Channel]
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of all the payments together, by payment id. `speaking`: those whose next
    message is looked for."""

    sending: Sending | None
    speaking: frozenset[str]
    prospects: Prospects
    settings: RecoverySettings
    written: Mapping[str, frozenset[Step]]
    queued: Mapping[str, PlannedMessage]
    requested: Mapping[str, RequestKind]
    unsettled: Collection[str]


def find_next_steps(
    session: Session, company_id: str, payments: Sequence[Payment], view: Viewpoint
) -> dict[int, NextStep]:
    """By the rows' ids. All payments must be this company's."""
    needs = find_needs_of(session, [payment.id for payment in payments])
    around = look_around(session, company_id, payments, view)
    found = {}
    for payment in payments:
        departure = foretell(session, payment, around, view)
        retrying = judge_retry(session, payment, around.settings, view)
        situation = Situation(
            status=payment.status,
            decline_class=payment.decline_class,
            window_ends_at=payment.window_ends_at,
            closed_reason=payment.closed_reason,
            next_retry_at=payment.next_retry_at,
            charge_method=payment.next_charge_method,
            trigger=payment.next_trigger,
            claimed_until=payment.claimed_until,
            unsettled=payment.payment_id in around.unsettled,
            whop_next_attempt_at=payment.whop_next_attempt_at,
            requested=around.requested.get(payment.payment_id),
            need=needs.get(payment.id),
            message=departure.message,
            silence=departure.silence,
            hold=payment.hold if payment.status in UNPAID else None,
            no_retry=retrying,
            has_address=bool(payment.member_email),
            held_out=bool(payment.held_out),
            can_retry=view.exact
            and requests.refuse_retry_now(session, payment, view.now, view.rules) is None,
            can_stop=requests.refuse_stop(payment) is None,
        )
        found[payment.id] = find_next_step(situation, view.now)
    return found


def judge_retry(
    session: Session, payment: Payment, settings: RecoverySettings, view: Viewpoint
) -> NoRetryReason | None:
    """Why no retry is scheduled. None: there is one, or it is not known."""
    if payment.status is not PaymentStatus.FAILED:
        return None
    if view.exact:
        context = find_retry_context(session, payment, view.now)
    else:
        context = describe_retry_context(payment, 1, settings)
    decision = decide(context, view.rules, view.now)
    return decision.why if isinstance(decision, NoRetry) else None


def foretell(
    session: Session, payment: Payment, around: Surroundings, view: Viewpoint
) -> Departure:
    if around.sending is None or payment.payment_id not in around.speaking:
        return NOTHING
    return foretell_message(
        session,
        payment,
        around.written.get(payment.payment_id, frozenset()),
        around.queued.get(payment.payment_id),
        around.sending,
        around.prospects,
        view.now,
    )


def may_come_first(payment: Payment, queued: Mapping[str, PlannedMessage], view: Viewpoint) -> bool:
    """Whether a message may be what comes next: one is meant to be sent, and no charge is."""
    meant = payment.next_message_at is not None or payment.payment_id in queued
    whop = payment.whop_next_attempt_at
    charges = payment.status is PaymentStatus.PENDING_RETRY or (
        whop is not None and whop > view.now
    )
    return meant and not charges


def look_around(
    session: Session, company_id: str, payments: Sequence[Payment], view: Viewpoint
) -> Surroundings:
    """Asks only about those for which anything may still happen. However many they are, it takes a
    few queries."""
    writable = [one for one in payments if may_write(one.status, one.closed_reason)]
    unpaid = [one.payment_id for one in writable if one.status in UNPAID]
    claimed = [one.payment_id for one in payments if one.claimed_until is not None]
    ids = [one.payment_id for one in writable]
    queued = find_queued(session, ids) if ids else {}
    speaking = [one for one in writable if view.exact or may_come_first(one, queued, view)]
    return Surroundings(
        sending=look_at_sending(session, company_id, view) if speaking else None,
        speaking=frozenset(one.payment_id for one in speaking),
        prospects=gather_prospects(session, company_id, speaking, view.now),
        settings=find_recovery_settings(session, company_id),
        written=find_written_steps(session, speaking) if speaking else {},
        queued=queued,
        requested=find_requested(session, unpaid) if unpaid else {},
        unsettled=find_unsettled(session, claimed) if claimed else frozenset(),
    )


def look_at_sending(session: Session, company_id: str, view: Viewpoint) -> Sending | None:
    company = session.get(Company, company_id)
    if company is None:
        return None
    messaging, _ = read_messaging_settings(company.settings)
    full_until = find_full_until(session, company, messaging, view.now)
    return Sending(company, messaging, view.channels, full_until)


def find_queued(session: Session, ids: Sequence[str]) -> dict[str, PlannedMessage]:
    """The messages that wait to be sent, also those that another payment's message covers."""
    due_at = select(
        Message.payment_id, Message.step, Message.due_at, Lead.due_at.label("lead_due_at")
    )
    rows = session.execute(
        due_at.outerjoin(Lead, (Lead.id == Message.joined_to) & (Lead.state == MessageState.QUEUED))
        .where(Message.payment_id.in_(ids))
        .where((Message.state == MessageState.QUEUED) | Lead.id.is_not(None))
        .order_by(Message.id.desc())
    )
    return {
        payment_id: PlannedMessage(step, lead_due_at or own_due_at)
        for payment_id, step, own_due_at, lead_due_at in rows
    }


def find_requested(session: Session, ids: Sequence[str]) -> dict[str, RequestKind]:
    """The oldest open request about each: it is done first. A stop counts before all others."""
    rows = session.execute(
        select(Request.payment_id, Request.kind)
        .where(Request.payment_id.in_(ids), Request.done_at.is_(None))
        .order_by((Request.kind == RequestKind.STOP).asc(), Request.id.desc())
    )
    return {row.payment_id: row.kind for row in rows if row.payment_id is not None}


def find_unsettled(session: Session, ids: Sequence[str]) -> frozenset[str]:
    query = select(Attempt.payment_id).where(
        Attempt.payment_id.in_(ids), Attempt.outcome.in_(UNSETTLED)
    )
    return frozenset(session.scalars(query))
