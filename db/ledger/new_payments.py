"""Making failed payments known: the row, its place, and when the member is first written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from sqlalchemy.orm import Session

from db.company_settings.recovery import NO_TERMS, Terms, add_companies
from db.ledger.bulk_insert import insert_payments
from db.ledger.payments import put
from db.ledger.retry_context import choose_place_or_backup, describe_situation
from db.ledger.rows import NewPayment
from recovery.decline_codes import classify
from recovery.message_schedule import may_write, plan_first
from recovery.reports import PaymentReport, Told
from recovery.retry_policy import Settings, Situation
from recovery.status import UNPAID
from recovery.transitions import WAITING, WINDOW, Place, find_stop

AS_TOLD = tuple(field.name for field in fields(Told))
TELL = attrgetter(*AS_TOLD)
NOTHING = Decimal(0)


def create_payments(
    session: Session,
    reports: Sequence[PaymentReport],
    terms: Mapping[str, Terms],
    now: datetime,
    rules: Settings,
    *,
    imported: bool = False,
) -> dict[str, bool]:
    """Inserts the unknown ones, each report about a different payment.

    `terms` are those of the companies known so far; others are added. `imported`: history, about
    which nobody is written to. Returns the new ids, and which of them have reports waiting in the
    inbox.
    """
    if not reports:
        return {}
    add_companies(session, {report.company_id for report in reports} - terms.keys())
    rows = [
        describe_new(report, terms.get(report.company_id, NO_TERMS), now, rules, imported=imported)
        for report in reports
    ]
    return insert_payments(session, rows, now)


def describe_new(
    report: PaymentReport, terms: Terms, now: datetime, rules: Settings, *, imported: bool = False
) -> NewPayment:
    payment = introduce(report, terms, now, imported)
    situation = describe_situation(payment, report.failures or 1, terms)
    put(payment, choose_first_place(report, payment, situation, terms, rules, now))
    # Nobody is written to about history, nor those who are left to Whop alone.
    if may_write(payment.status, payment.closed_reason) and not (imported or payment.held_out):
        message = plan_first(payment.decline_class, payment.window_ends_at, now)
        if message is not None:
            payment.next_step, payment.next_message_at = message.step, message.at
    return payment


def introduce(
    report: PaymentReport, terms: Terms, now: datetime, imported: bool = False
) -> NewPayment:
    """As long as nothing but the failure itself is known."""
    decline = classify(report.decline_code, report.failure_message)
    failed_at = find_first_failure(report, now)
    return NewPayment(
        **dict(zip(AS_TOLD, TELL(report), strict=True)),
        refunded_amount=report.refunded_amount or NOTHING,
        reason=decline.words,
        decline_code=decline.code,
        decline_class=decline.decline_class,
        retryable=report.retryable is not False,
        whop_failures=report.failures,
        failed_at=failed_at,
        window_ends_at=failed_at + WINDOW,
        last_attempt_at=min(report.last_attempt_at or failed_at, now),
        whop_next_attempt_at=report.next_attempt_at,
        whop_said_at=None if report.paid else report.as_of,
        imported=imported,
        held_out=terms.holds_out(report.company_id, report.member_id),
        created_at=now,
    )


def choose_first_place(
    report: PaymentReport,
    payment: NewPayment,
    situation: Situation,
    terms: Terms,
    rules: Settings,
    now: datetime,
) -> Place:
    if (stop := find_stop(report)) is not None:
        return stop
    chosen = choose_place_or_backup(payment, situation, terms, rules, now)
    return WAITING if report.pending and chosen.status in UNPAID else chosen


def find_first_failure(report: PaymentReport, now: datetime) -> datetime:
    """A renewal is charged when it is created, so a later failure dates back to that moment."""
    first = report.last_attempt_at
    if ((report.failures or 0) > 1 or report.paid) and report.created_at is not None:
        first = report.created_at
    return min(first or now, now)
