"""Making failed payments known: the row, its place, and the member's first message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.companies import NO_TERMS, Terms, add_companies
from db.declines import classify
from db.intake import insert_payments
from db.places import WAITING, choose_place, find_spread, find_stop, plan_backup
from db.policy import Settings, Situation
from db.reports import PaymentReport
from db.status import UNPAID

# Whop retries by its own clock for five days, then cancels (whop-api.md, section 3).
WINDOW = timedelta(days=5)
FIRST_MESSAGE = "payment_failed"
EMAIL = "email"


def create_payments(
    session: Session,
    reports: Sequence[PaymentReport],
    terms: Mapping[str, Terms],
    now: datetime,
    rules: Settings,
    *,
    imported: bool = False,
) -> dict[str, bool]:
    """Inserts the unknown ones with their first message, each report about a different payment.

    `terms` are those of the companies known so far; others are added. `imported`: history, about
    which nobody is written to. Returns the new ids, and which of them have reports waiting in the
    inbox.
    """
    if not reports:
        return {}
    add_companies(session, {report.company_id for report in reports} - terms.keys())
    rows = [
        describe_new(report, terms.get(report.company_id, NO_TERMS), now, rules)
        | {"imported": imported}
        for report in reports
    ]
    return insert_payments(session, rows, FIRST_MESSAGE, EMAIL, now)


def describe_new(
    report: PaymentReport, terms: Terms, now: datetime, rules: Settings
) -> dict[str, Any]:
    failed_at = find_first_failure(report, now)
    window_ends_at = failed_at + WINDOW
    last_attempt_at = min(report.last_attempt_at or failed_at, now)
    decline = classify(report.decline_code, report.failure_message)
    held_out = terms.holds_out(report.company_id, report.member_id)
    situation = Situation(
        decline_class=decline.decline_class,
        decline_code=decline.code,
        declined_retries=0,
        retryable=report.retryable is not False,
        failed_at=failed_at,
        last_charge_at=last_attempt_at,
        window_ends_at=window_ends_at,
        card_brand=report.card_brand,
        charges=report.failures or 1,
        whop_next_attempt_at=report.next_attempt_at,
        time_zone=terms.time_zone,
        spread=find_spread(report.payment_id),
        held_out=bool(held_out),
    )
    place = choose_place(situation, rules, now)
    if terms.backup_card and report.membership_id and report.member_id:
        place = plan_backup(place, situation, now) or place
    if report.pending and place.status in UNPAID:
        place = WAITING
    place = find_stop(report) or place
    return {
        "payment_id": report.payment_id,
        "company_id": report.company_id,
        "membership_id": report.membership_id,
        "member_id": report.member_id,
        "user_id": report.user_id,
        "member_name": report.member_name,
        "member_email": report.member_email,
        "product": report.product,
        "billing_reason": report.billing_reason,
        "amount": report.amount,
        "currency": report.currency,
        "amount_usd": report.amount_usd,
        "refunded_amount": report.refunded_amount or 0,
        "reason": decline.words,
        "decline_code": decline.code,
        "decline_class": decline.decline_class,
        "card_brand": report.card_brand,
        "card_last4": report.card_last4,
        "card_expiry": report.card_expiry,
        "payment_method_id": report.payment_method_id,
        "recovery_url": report.recovery_url,
        "status": place.status,
        "next_retry_at": place.next_retry_at,
        "next_means": place.means,
        "next_trigger": place.trigger,
        "closed_reason": place.closed_reason,
        "retryable": situation.retryable,
        "whop_failures": report.failures,
        "failed_at": failed_at,
        "window_ends_at": window_ends_at,
        "last_attempt_at": last_attempt_at,
        "whop_next_attempt_at": report.next_attempt_at,
        "whop_said_at": None if report.paid else report.as_of,
        "held_out": held_out,
        "as_of": report.as_of,
        "created_at": now,
    }


def find_first_failure(report: PaymentReport, now: datetime) -> datetime:
    """A renewal is charged when it is created, so a later failure dates back to that moment."""
    first = report.last_attempt_at
    if ((report.failures or 0) > 1 or report.paid) and report.created_at is not None:
        first = report.created_at
    return min(first or now, now)
