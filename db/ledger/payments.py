"""The only writer of a payment's status: every change goes through `move`.

The database refuses moves that recovery/status.py does not allow, whoever makes them (migration
0010). The caller holds the row's lock and owns the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from db import card_bans
from db.company_settings.recovery import find_recovery_settings
from db.ledger import attempts, card_velocity, diary
from db.ledger.retry_context import ask, describe_retry_context
from db.ledger.rows import NewPayment
from db.member_messages import cancellation
from db.models import Payment
from recovery.labels import continue_with, name_end
from recovery.message_schedule import may_write
from recovery.retrying.context import RetryContext, RetryRules, may_be_single
from recovery.retrying.decisions import find_no_retry_reason
from recovery.retrying.transitions import Transition, answer, closed, decide_backup
from recovery.status import UNPAID, ChargeMethod, ClosedReason, PaymentStatus, may_move

LOCK_PAYMENTS = (
    select(Payment)
    .where(Payment.payment_id.in_(bindparam("ids", expanding=True)))
    .order_by(Payment.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)
MOST_AT_ONCE = 500
SELECT_ENDED = (
    select(Payment)
    .where(
        Payment.status.in_(UNPAID),
        Payment.window_ends_at <= bindparam("now"),
        Payment.payment_id.not_in(attempts.unsettled_payment_ids()),
    )
    .order_by(Payment.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


class WrongCompanyError(Exception):
    """A report names a payment that another company owns."""


class IllegalMoveError(Exception):
    """The code tried a change of status that recovery.status.MOVES does not allow."""


def lock_payments(session: Session, payment_ids: Iterable[str]) -> dict[str, Payment]:
    """Locks rows in one order, so that two writers cannot wait for each other."""
    ids = sorted(set(payment_ids))
    found = session.scalars(LOCK_PAYMENTS, {"ids": ids}) if ids else ()
    return {payment.payment_id: payment for payment in found}


def move(session: Session, payment: Payment, transition: Transition) -> None:
    if not may_move(payment.status, transition.status):
        raise IllegalMoveError(f"{payment.payment_id}: {payment.status} -> {transition.status}")
    apply_transition(payment, transition)
    if transition.status not in UNPAID:
        payment.hold = None
    if not may_write(transition.status, transition.closed_reason):
        end = continue_with(name_end(transition.status, transition.closed_reason))
        cancellation.cancel_messages(session, payment, end)


def apply_transition(payment: Payment | NewPayment, transition: Transition) -> None:
    payment.status = transition.status
    payment.next_retry_at = transition.next_retry_at
    payment.next_charge_method, payment.next_trigger = transition.charge_method, transition.trigger
    payment.closed_reason = transition.closed_reason


def postpone(session: Session, payment: Payment, until: datetime) -> None:
    """Schedules the same charge for later, for when the problem was not the payment's."""
    move(
        session,
        payment,
        Transition(
            PaymentStatus.PENDING_RETRY,
            until,
            charge_method=payment.next_charge_method,
            trigger=payment.next_trigger,
        ),
    )


def schedule(session: Session, payment: Payment, now: datetime, rules: RetryRules) -> None:
    """Asks the policy again. Must not be called while one of our attempts is unsettled."""
    recovery_settings = find_recovery_settings(session, payment.company_id)
    context = find_retry_context(session, payment, now)
    has_tried_backup = partial(attempts.has_tried_backup, session, payment)
    question = ask(payment, context, recovery_settings, rules, now, has_tried_backup)
    transition = answer(question)
    diary.record(session, payment, question, transition)
    move(session, payment, transition)


def find_retry_context(session: Session, payment: Payment, now: datetime) -> RetryContext:
    charges = card_velocity.count_charges(session, payment, now)
    settings = find_recovery_settings(session, payment.company_id)
    # invariant 3: bans are looked up whenever a charge is decided on
    decline = card_bans.find_decline(session, payment)
    return describe_retry_context(payment, charges, settings, decline)


def is_single(session: Session, payment: Payment) -> bool:
    """Whether this may be the only retry that Whop allows."""
    settings = find_recovery_settings(session, payment.company_id)
    return may_be_single(payment.retry_count, settings.find_habits(payment.payment_method_type))


def is_forbidden(session: Session, payment: Payment, now: datetime, rules: RetryRules) -> bool:
    """Whether the planned charge is no longer allowed, by what is known now."""
    context = find_retry_context(session, payment, now)
    if payment.next_charge_method is ChargeMethod.BACKUP_CARD:
        return decide_backup(context, now) is None or attempts.has_sent_backup(session, payment)
    return find_no_retry_reason(context, rules) is not None


def close_windows(session: Session, now: datetime) -> int:
    """Gives up payments whose window has ended and whose attempts are all settled, and cancels
    their messages. Returns how many; fewer than MOST_AT_ONCE: there are no more."""
    ended = session.scalars(SELECT_ENDED, {"now": now, "limit": MOST_AT_ONCE}).all()
    for payment in ended:
        move(session, payment, closed(ClosedReason.WINDOW_CLOSED))
    return len(ended)
