"""Making failed payments known: the row, its place, and when the member is first written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy.orm import Session

from db.company_settings.recovery import NO_TERMS, Terms, add_companies
from db.ledger.bulk_insert import insert_payments
from recovery.decline_codes import Decline, classify
from recovery.message_schedule import may_write, plan_first
from recovery.reports import PaymentReport
from recovery.retry_policy import Settings, Situation
from recovery.status import UNPAID
from recovery.transitions import (
    WAITING,
    WINDOW,
    Place,
    choose_place,
    find_spread,
    find_stop,
    plan_backup,
)

AS_TOLD = (
    "payment_id",
    "company_id",
    "membership_id",
    "member_id",
    "user_id",
    "member_name",
    "member_email",
    "product",
    "billing_reason",
    "amount",
    "currency",
    "amount_usd",
    "card_brand",
    "card_last4",
    "card_expiry",
    "payment_method_id",
    "recovery_url",
    "as_of",
)
"""Columns that hold just what the report says, under its own name."""
TELL = attrgetter(*AS_TOLD)


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
) -> dict[str, Any]:
    """The row's columns."""
    decline = classify(report.decline_code, report.failure_message)
    held_out = terms.holds_out(report.company_id, report.member_id)
    situation = foresee(report, decline, terms, bool(held_out), now)
    place = choose_first_place(report, situation, terms, rules, now)
    # Nobody is written to about history, nor those who are left to Whop alone.
    message = None
    if may_write(place.status, place.closed_reason) and not (imported or held_out):
        message = plan_first(decline.decline_class, situation.window_ends_at, now)
    return dict(zip(AS_TOLD, TELL(report), strict=True)) | {
        "refunded_amount": report.refunded_amount or 0,
        "reason": decline.words,
        "decline_code": decline.code,
        "decline_class": decline.decline_class,
        "status": place.status,
        "next_retry_at": place.next_retry_at,
        "next_means": place.means,
        "next_trigger": place.trigger,
        "closed_reason": place.closed_reason,
        "retryable": situation.retryable,
        "whop_failures": report.failures,
        "failed_at": situation.failed_at,
        "window_ends_at": situation.window_ends_at,
        "last_attempt_at": situation.last_charge_at,
        "whop_next_attempt_at": report.next_attempt_at,
        "whop_said_at": None if report.paid else report.as_of,
        "next_step": message and message.step,
        "next_message_at": message and message.at,
        "imported": imported,
        "held_out": held_out,
        "created_at": now,
    }


def foresee(
    report: PaymentReport, decline: Decline, terms: Terms, held_out: bool, now: datetime
) -> Situation:
    """As long as nothing but the failure itself is known."""
    failed_at = find_first_failure(report, now)
    return Situation(
        decline_class=decline.decline_class,
        decline_code=decline.code,
        declined_retries=0,
        retryable=report.retryable is not False,
        failed_at=failed_at,
        last_charge_at=min(report.last_attempt_at or failed_at, now),
        window_ends_at=failed_at + WINDOW,
        card_brand=report.card_brand,
        charges=report.failures or 1,
        whop_next_attempt_at=report.next_attempt_at,
        time_zone=terms.time_zone,
        spread=find_spread(report.payment_id),
        held_out=held_out,
    )


def choose_first_place(
    report: PaymentReport, situation: Situation, terms: Terms, rules: Settings, now: datetime
) -> Place:
    if (stop := find_stop(report)) is not None:
        return stop
    place = choose_place(situation, rules, now)
    if terms.backup_card and report.membership_id and report.member_id:
        place = plan_backup(place, situation, now) or place
    return WAITING if report.pending and place.status in UNPAID else place


def find_first_failure(report: PaymentReport, now: datetime) -> datetime:
    """A renewal is charged when it is created, so a later failure dates back to that moment."""
    first = report.last_attempt_at
    if ((report.failures or 0) > 1 or report.paid) and report.created_at is not None:
        first = report.created_at
    return min(first or now, now)
