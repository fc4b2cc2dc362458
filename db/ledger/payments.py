"""The only writer of payment status.

Every word about a payment, from wherever, passes `hear`; every change of status passes `move`.
The caller holds the row's lock and owns the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from db.company_settings.recovery import Terms, find_terms
from db.ledger import attempts
from db.ledger import card_velocity as cards
from db.ledger.rows import NewPayment
from db.member_messages import planner as planning
from db.member_messages import queue as outbox
from db.models import Attempt, Message, Payment, Refund
from recovery.attribution import Circumstances, attribute, may_be_whops
from recovery.decline_codes import classify
from recovery.message_schedule import may_write
from recovery.reports import PaymentReport, RefundReport
from recovery.retry_policy import Settings, Situation, find_obstacle
from recovery.status import (
    UNPAID,
    AttemptOutcome,
    ClosedReason,
    Means,
    MessageState,
    PaymentStatus,
    RecoveredBy,
    Trigger,
    may_move,
)
from recovery.transitions import (
    WAITING,
    Place,
    choose_place,
    closed,
    decide_backup,
    find_spread,
    find_stop,
    plan_backup,
)

PAID_WITHOUT_US = "paid without us"
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
    newer, known_class = report.as_of > payment.as_of, payment.decline_class
    if newer:
        note_facts(payment, report)
    if report.paid:
        if attempt is not None and attempts.failed_since(report, attempt):
            # Whop counts a failure after ours was sent. Whose, it does not say: not claimed.
            note_declined(payment, attempt, report, now)
            attempt = None
        note_paid(session, payment, attempt, report, now)
        return
    note_whops_plan(session, payment, report)
    declined = attempt is not None and attempts.shows_decline(
        report, attempt.sent_at, attempt.failures_before
    )
    if attempt is not None and declined:
        note_declined(payment, attempt, report, now)
        attempt = None
    attempts.note_foreign_failure(session, payment, report)
    if payment.status not in UNPAID:
        if find_stop(report) is not None:
            outbox.silence(session, payment, "nobody is to collect it any more")
        return
    if (stop := find_stop(report)) is not None:
        move(session, payment, stop)  # for good, so an old word is as good as a new one
    elif not (newer or declined):
        return
    elif report.pending:
        move(session, payment, WAITING)  # being settled: the next word decides
    elif attempt is None:
        schedule(session, payment, now, rules)
    if payment.decline_class is not known_class:
        planning.plan_again(session, payment, now)


def note_whops_plan(session: Session, payment: Payment, report: PaymentReport) -> None:
    """When Whop itself tries next, by its newest word on it. Heard after the payment, that word
    can still change who made it."""
    told_before = payment.whop_said_at is not None and report.as_of <= payment.whop_said_at
    if told_before or report.pending:  # while a bank is settling it, Whop plans nothing
        return
    payment.whop_said_at = report.as_of
    payment.whop_next_attempt_at = report.next_attempt_at
    if payment.recovered_by in {RecoveredBy.MEMBER, RecoveredBy.WITHOUT_US}:
        credit(session, payment)


def note_facts(payment: Payment, report: PaymentReport) -> None:
    """What a newer report says outright. What it leaves out stays as it was."""
    payment.as_of = report.as_of
    for column in (
        "membership_id",
        "member_id",
        "user_id",
        "member_name",
        "member_email",
        "product",
        "card_brand",
        "card_last4",
        "card_expiry",
        "payment_method_id",
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
    session: Session,
    payment: Payment,
    attempt: Attempt | None,
    report: PaymentReport,
    now: datetime,
) -> None:
    """Recovered, whoever did it."""
    if payment.status is PaymentStatus.RECOVERED:
        return
    payment.recovered_at = min(report.paid_at or report.as_of, now)
    if report.last_attempt_at is not None:  # the charge that paid it, whatever we heard before
        payment.last_attempt_at = max(payment.last_attempt_at, report.last_attempt_at)
    payment.claimed_until = None
    move(session, payment, Place(PaymentStatus.RECOVERED))
    credit(session, payment, attempt)
    if attempt is not None:
        ours = payment.recovered_by is RecoveredBy.RETRY
        outcome = AttemptOutcome.PAID if ours else AttemptOutcome.REFUSED
        attempts.finish(attempt, outcome, now, None if ours else PAID_WITHOUT_US)


def credit(session: Session, payment: Payment, attempt: Attempt | None = None) -> None:
    """Says who made it, by the circumstances, and keeps the try that did."""
    assert payment.recovered_at is not None
    # A message about another payment may have spoken for this one too.
    lead = aliased(Message)
    mailed = (
        select(func.min(func.coalesce(lead.sent_at, Message.sent_at)))
        .select_from(Message)
        .outerjoin(lead, lead.id == Message.joined_to)
        .where(
            Message.payment_id == payment.payment_id,
            func.coalesce(lead.state, Message.state) == MessageState.SENT,
        )
    )
    seen = Circumstances(
        paid_at=min(payment.recovered_at, payment.last_attempt_at),
        charge_sent_at=attempt.sent_at if attempt is not None else None,
        whops_attempt_at=payment.whop_next_attempt_at,
        message_sent_at=session.scalar(mailed),
    )
    payment.recovered_by = attribute(seen)
    if payment.recovered_by is not RecoveredBy.RETRY:
        trigger = Trigger.WHOP if may_be_whops(seen) else Trigger.MEMBER
        attempts.note_foreign_payment(session, payment, trigger, payment.recovered_at)


# --- moving ------------------------------------------------------------------------------------


def move(session: Session, payment: Payment, place: Place) -> None:
    if not may_move(payment.status, place.status):
        raise IllegalMoveError(f"{payment.payment_id}: {payment.status} -> {place.status}")
    put(payment, place)
    if not may_write(place.status, place.closed_reason):
        outbox.silence(session, payment, f"the payment is {place.closed_reason or place.status}")


def put(payment: Payment | NewPayment, place: Place) -> None:
    payment.status = place.status
    payment.next_retry_at = place.next_retry_at
    payment.next_means, payment.next_trigger = place.means, place.trigger
    payment.closed_reason = place.closed_reason


def postpone(session: Session, payment: Payment, until: datetime) -> None:
    """The payment is fine and Whop was not: the same charge, later."""
    move(
        session,
        payment,
        Place(
            PaymentStatus.PENDING_RETRY,
            until,
            means=payment.next_means,
            trigger=payment.next_trigger,
        ),
    )


def schedule(session: Session, payment: Payment, now: datetime, rules: Settings) -> None:
    """Asks the policy again. Not while an attempt of ours is unsettled."""
    terms = find_terms(session, payment.company_id)
    situation = describe_situation(session, payment, terms, now)
    place = choose_place(situation, rules, now)
    if terms.backup_card and payment.membership_id and payment.member_id:
        backup = plan_backup(place, situation, now)
        if backup is not None and not attempts.has_tried_backup(session, payment):
            place = backup
    move(session, payment, place)


def is_forbidden(session: Session, payment: Payment, now: datetime, rules: Settings) -> bool:
    """Whether the charge that is planned may not be made any more, by what is known now."""
    terms = find_terms(session, payment.company_id)
    situation = describe_situation(session, payment, terms, now)
    if payment.next_means is Means.BACKUP_CARD:
        return decide_backup(situation, now) is None
    return find_obstacle(situation, rules) is not None


def describe_situation(
    session: Session, payment: Payment, terms: Terms, now: datetime
) -> Situation:
    return Situation(
        decline_class=payment.decline_class,
        decline_code=payment.decline_code,
        declined_retries=payment.retry_count,
        retryable=payment.retryable,
        failed_at=payment.failed_at,
        last_charge_at=payment.last_attempt_at,
        window_ends_at=payment.window_ends_at,
        card_brand=payment.card_brand,
        charges=cards.count_charges(session, payment, now),
        whop_next_attempt_at=payment.whop_next_attempt_at,
        time_zone=terms.time_zone,
        spread=find_spread(payment.payment_id),
        held_out=bool(payment.held_out),
    )


def close_windows(session: Session, now: datetime) -> int:
    """Gives up payments whose window has ended and whose attempts are all settled."""
    found = session.scalars(
        update(Payment)
        .where(
            Payment.status.in_(UNPAID),
            Payment.window_ends_at <= now,
            Payment.payment_id.not_in(attempts.unsettled_payment_ids()),
        )
        .values(
            status=PaymentStatus.PERMANENT_FAIL,
            next_retry_at=None,
            next_step=None,
            next_message_at=None,
            closed_reason=ClosedReason.WINDOW_CLOSED,
        )
        .returning(Payment.id)
    )
    return len(found.all())


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
    if not payment.refunded_amount:
        return
    if payment.status in UNPAID:
        move(session, payment, closed(ClosedReason.REFUNDED))
    else:
        outbox.silence(session, payment, "it is refunded")
