"""The only writer of payment status.

Every word about a payment, from wherever, passes `hear`; every change of status passes `move`.
The caller holds the row's lock and owns the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zlib import crc32

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import attempts
from db.declines import classify
from db.intake import insert_payments
from db.models import Attempt, Company, Payment, Refund
from db.policy import NoRetry, Retry, Settings, Situation, WhyNot, decide
from db.reports import MembershipEnd, PaymentReport, RefundReport
from db.status import (
    UNPAID,
    AttemptOutcome,
    ClosedReason,
    PaymentStatus,
    RecoveredBy,
    may_move,
)

# Whop retries by its own clock for five days, then cancels (whop-api.md, section 3).
WINDOW = timedelta(days=5)
FIRST_MESSAGE = "payment_failed"
EMAIL = "email"
PAID_WITHOUT_US = "paid without us"
NO_ZONE = "UTC"
LOCK_PAYMENTS = (
    select(Payment)
    .where(Payment.payment_id.in_(bindparam("ids", expanding=True)))
    .order_by(Payment.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)
NOT_FINAL = ("pending", "requires_action")
GIVEN_BACK = (*NOT_FINAL, "succeeded")


class WrongCompanyError(Exception):
    """An event names a payment that another company owns."""


class IllegalMoveError(Exception):
    """The code tried a status change that the table does not allow."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payment stands after a decision."""

    status: PaymentStatus
    next_retry_at: datetime | None = None
    closed_reason: ClosedReason | None = None


# --- making payments known ---------------------------------------------------------------------


def create_payments(
    session: Session,
    reports: Sequence[PaymentReport],
    zones: Mapping[str, str],
    now: datetime,
    rules: Settings,
) -> dict[str, bool]:
    """Inserts the unknown ones with their first message, each report about a different payment.

    `zones` gives the time zones of the companies known so far; others are added. Returns the new
    ids, and which of them have reports waiting in the inbox.
    """
    if not reports:
        return {}
    add_companies(session, {report.company_id for report in reports} - zones.keys())
    rows = [
        describe_new(report, zones.get(report.company_id, NO_ZONE), now, rules)
        for report in reports
    ]
    return insert_payments(session, rows, FIRST_MESSAGE, EMAIL, now)


def add_companies(session: Session, ids: set[str]) -> None:
    if ids:
        rows = [{"id": company_id, "time_zone": NO_ZONE} for company_id in sorted(ids)]
        session.execute(insert(Company).on_conflict_do_nothing(), rows)


def describe_new(
    report: PaymentReport, zone: str, now: datetime, rules: Settings
) -> dict[str, Any]:
    failed_at = find_first_failure(report, now)
    window_ends_at = failed_at + WINDOW
    last_attempt_at = min(report.last_attempt_at or failed_at, now)
    decline = classify(report.decline_code, report.failure_message)
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
        time_zone=zone,
        spread=find_spread(report.payment_id),
    )
    place = choose_place(situation, rules, now)
    return {
        "payment_id": report.payment_id,
        "company_id": report.company_id,
        "membership_id": report.membership_id,
        "member_id": report.member_id,
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
        "recovery_url": report.recovery_url,
        "status": place.status,
        "next_retry_at": place.next_retry_at,
        "closed_reason": place.closed_reason,
        "retryable": situation.retryable,
        "whop_failures": report.failures,
        "failed_at": failed_at,
        "window_ends_at": window_ends_at,
        "last_attempt_at": last_attempt_at,
        "whop_next_attempt_at": report.next_attempt_at,
        "as_of": report.as_of,
        "created_at": now,
    }


def find_first_failure(report: PaymentReport, now: datetime) -> datetime:
    """A renewal is charged when it is created, so a later failure dates back to that moment."""
    first = report.last_attempt_at
    if (report.failures or 0) > 1 and report.created_at is not None:
        first = report.created_at
    return min(first or now, now)


# --- hearing about known payments --------------------------------------------------------------


def lock_payments(session: Session, payment_ids: Iterable[str]) -> dict[str, Payment]:
    """Row locks in one order, so that two writers cannot wait for each other."""
    ids = sorted(set(payment_ids))
    found = session.scalars(LOCK_PAYMENTS, {"ids": ids}) if ids else ()
    return {payment.payment_id: payment for payment in found}


def hear(
    session: Session, payment: Payment, report: PaymentReport, now: datetime, rules: Settings
) -> None:
    """Takes in one report, in whatever order reports arrive; the same one twice changes nothing."""
    if report.company_id != payment.company_id:
        raise WrongCompanyError(f"{payment.payment_id} belongs to another company")
    attempt = attempts.find_unsettled(session, payment)
    newer = report.as_of > payment.as_of
    if newer:
        note_facts(payment, report)
    if report.paid:
        note_paid(payment, attempt, report, now)
        return
    declined = attempt is not None and attempts.shows_decline(
        report, attempt.sent_at, attempt.failures_before
    )
    if attempt is not None and declined:
        note_declined(payment, attempt, report, now)
        attempt = None
    if payment.status not in UNPAID or not (newer or declined):
        return
    if report.disputed:
        close(payment, ClosedReason.DISPUTED)
    elif report.ended:
        close(payment, ClosedReason.CANCELED)
    elif report.pending:
        move(payment, Place(PaymentStatus.FAILED))  # being settled: the next word decides
    elif attempt is None:
        schedule(session, payment, now, rules)


def note_facts(payment: Payment, report: PaymentReport) -> None:
    """What a newer report says outright. What it leaves out stays as it was."""
    payment.as_of = report.as_of
    if not report.paid:  # a paid report has none; the old one tells who collected it
        payment.whop_next_attempt_at = report.next_attempt_at
    for column in (
        "membership_id",
        "member_id",
        "member_name",
        "member_email",
        "product",
        "card_brand",
        "card_last4",
        "recovery_url",
        "retryable",
        "refunded_amount",
    ):
        if (value := getattr(report, column)) is not None:
            setattr(payment, column, value)
    if report.failures is not None:
        payment.whop_failures = report.failures
    if report.last_attempt_at is not None:
        payment.last_attempt_at = max(payment.last_attempt_at, report.last_attempt_at)
    if not report.paid and (report.decline_code or report.failure_message):
        decline = classify(report.decline_code, report.failure_message)
        payment.reason, payment.decline_code = decline.words, decline.code
        payment.decline_class = decline.decline_class


def note_declined(
    payment: Payment, attempt: Attempt, report: PaymentReport | None, now: datetime
) -> None:
    """The one place that counts a retry, and it needs an attempt to finish: never twice."""
    attempts.finish(attempt, AttemptOutcome.DECLINED, now)
    if report is not None:
        attempt.decline_code, attempt.detail = report.decline_code, report.failure_message
    payment.retry_count += 1
    payment.claimed_until = None


def note_paid(
    payment: Payment, attempt: Attempt | None, report: PaymentReport, now: datetime
) -> None:
    """Recovered, whoever did it; ours only where the circumstances leave no one else."""
    if payment.status is PaymentStatus.RECOVERED:
        return
    paid_at = min(report.paid_at or report.as_of, now)
    ours = attempt is not None and attempts.collected(attempt, payment, paid_at)
    if attempt is not None:
        outcome = AttemptOutcome.PAID if ours else AttemptOutcome.REFUSED
        attempts.finish(attempt, outcome, now, None if ours else PAID_WITHOUT_US)
    payment.recovered_at = paid_at
    payment.recovered_by = RecoveredBy.RETRY if ours else RecoveredBy.WITHOUT_US
    payment.whop_next_attempt_at = payment.claimed_until = None
    move(payment, Place(PaymentStatus.RECOVERED))


# --- moving ------------------------------------------------------------------------------------


def move(payment: Payment, place: Place) -> None:
    if not may_move(payment.status, place.status):
        raise IllegalMoveError(f"{payment.payment_id}: {payment.status} -> {place.status}")
    payment.status = place.status
    payment.next_retry_at = place.next_retry_at
    payment.closed_reason = place.closed_reason


def close(payment: Payment, reason: ClosedReason) -> None:
    move(payment, Place(PaymentStatus.PERMANENT_FAIL, closed_reason=reason))


def postpone(payment: Payment, until: datetime) -> None:
    """The payment is fine and Whop was not: the same retry, later."""
    move(payment, Place(PaymentStatus.PENDING_RETRY, until))


def schedule(session: Session, payment: Payment, now: datetime, rules: Settings) -> None:
    """Asks the policy again. Not while an attempt of ours is unsettled."""
    company = session.get_one(Company, payment.company_id)
    situation = Situation(
        decline_class=payment.decline_class,
        decline_code=payment.decline_code,
        declined_retries=payment.retry_count,
        retryable=payment.retryable,
        failed_at=payment.failed_at,
        last_charge_at=payment.last_attempt_at,
        window_ends_at=payment.window_ends_at,
        card_brand=payment.card_brand,
        charges=max(payment.whop_failures or 1, 1 + payment.retry_count),
        whop_next_attempt_at=payment.whop_next_attempt_at,
        time_zone=company.time_zone,
        spread=find_spread(payment.payment_id),
    )
    move(payment, choose_place(situation, rules, now))


def find_spread(payment_id: str) -> float:
    """From 0 to 1, the same each time for one payment."""
    return crc32(payment_id.encode()) / 2**32


def choose_place(situation: Situation, rules: Settings, now: datetime) -> Place:
    if now >= situation.window_ends_at:
        return Place(PaymentStatus.PERMANENT_FAIL, closed_reason=ClosedReason.WINDOW_CLOSED)
    match decide(situation, rules, now):
        case Retry(at):
            return Place(PaymentStatus.PENDING_RETRY, at)
        case NoRetry(WhyNot.RETRIES_USED) if situation.declined_retries:
            return Place(PaymentStatus.PERMANENT_FAIL, closed_reason=ClosedReason.RETRIES_USED)
        case NoRetry():
            return Place(PaymentStatus.FAILED)


def close_windows(session: Session, now: datetime) -> int:
    """Gives up payments whose window has ended and whose attempts are all settled."""
    closed = session.scalars(
        update(Payment)
        .where(
            Payment.status.in_(UNPAID),
            Payment.window_ends_at <= now,
            Payment.payment_id.not_in(attempts.unsettled_payment_ids()),
        )
        .values(
            status=PaymentStatus.PERMANENT_FAIL,
            next_retry_at=None,
            closed_reason=ClosedReason.WINDOW_CLOSED,
        )
        .returning(Payment.id)
    )
    return len(closed.all())


def end_membership(session: Session, end: MembershipEnd) -> None:
    """An attempt in hand is left to settle: its charge may already have been made."""
    payments = session.scalars(
        select(Payment)
        .where(
            Payment.company_id == end.company_id,
            Payment.membership_id == end.membership_id,
            Payment.status.in_(UNPAID),
        )
        .order_by(Payment.id)
        .with_for_update()
    )
    for payment in payments:
        close(payment, ClosedReason.MEMBERSHIP_ENDED)


def record_refund(session: Session, payment: Payment, report: RefundReport) -> None:
    """Keeps the newest word on each refund; pending ones count as given back already."""
    if report.company_id != payment.company_id:
        raise WrongCompanyError(f"{payment.payment_id} belongs to another company")
    values = {
        "refund_id": report.refund_id,
        "payment_id": report.payment_id,
        "company_id": report.company_id,
        "amount": report.amount,
        "status": report.status,
        "as_of": report.as_of,
    }
    statement = insert(Refund).values(values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Refund.refund_id],
            set_=values,
            where=(Refund.as_of < report.as_of)
            | ((Refund.as_of == report.as_of) & Refund.status.in_(NOT_FINAL)),
        )
    )
    given_back = select(func.sum(Refund.amount)).where(
        Refund.payment_id == payment.payment_id, Refund.status.in_(GIVEN_BACK)
    )
    payment.refunded_amount = session.scalar(given_back) or Decimal(0)
