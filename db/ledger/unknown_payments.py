"""Payments that Whop does not know, such as those of a webhook that somebody only tried out.

Only one that Whop has never shown us can be such: where an earlier reading found it, a 404 is about
our key, and nothing is concluded.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from db.ledger.payments import move
from db.models import Attempt, Payment
from recovery.retrying.transitions import WINDOW, closed
from recovery.status import UNPAID, ClosedReason

# So much later than its webhook, a new payment can be read at Whop.
SETTLED_AFTER = timedelta(minutes=10)


def close_unknown(session: Session, payment: Payment, now: datetime) -> bool:
    """After a 404. Takes it out of all figures for good, unless it is paid one day. False: that is
    too early, or it has been known."""
    if payment.status not in UNPAID or now < payment.created_at + SETTLED_AFTER:
        return False
    if payment.read_at is not None or was_charged(session, payment):
        return False
    move(session, payment, closed(ClosedReason.UNKNOWN_AT_WHOP))
    payment.claimed_until = None
    # Without a recovery window a payment is in no figure (`Payment.since_setup`).
    payment.window_ends_at = payment.failed_at
    return True


def was_charged(session: Session, payment: Payment) -> bool:
    sent = exists().where(Attempt.payment_id == payment.payment_id, Attempt.sent_at.is_not(None))
    return bool(session.scalar(select(sent)))


def count_again(payment: Payment) -> None:
    """It was paid, so it exists."""
    if payment.closed_reason is ClosedReason.UNKNOWN_AT_WHOP:
        payment.window_ends_at = payment.failed_at + WINDOW
