"""A retry in steps: claim, mark as sent, and conclude (conclusions.py).

Each step is one short transaction; the network is called between them, never inside. A claim is a
lease: while it runs nobody else touches the attempt, and once it has expired any daemon may take
the attempt over and find out what happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, or_, select, true
from sqlalchemy.orm import Session

from db import card_bans
from db.ledger import attempts, card_velocity, facts, payment_reports, payments, reviews
from db.models import Attempt, Payment
from recovery.payment_methods import Ban, Card
from recovery.reports import PaymentReport
from recovery.retrying.context import RetryRules
from recovery.retrying.policy import MOST_IN_A_DAY, is_over_card_limit
from recovery.retrying.transitions import WAITING
from recovery.status import UNSETTLED, ChargeMethod, PaymentStatus, Trigger

# Longer than a retry can take: 47 s for reads with their repetitions, 35 s for a charge, and up to
# 10 s of waiting for the rate limit before each call.
LEASE = timedelta(minutes=3)

UNCLAIMED = or_(Payment.claimed_until.is_(None), Payment.claimed_until <= bindparam("now"))
SELECT_DUE = (
    select(Payment)
    .where(
        Payment.status == PaymentStatus.PENDING_RETRY,
        Payment.next_retry_at <= bindparam("now"),
        Payment.window_ends_at > bindparam("now"),
        UNCLAIMED,
        Payment.payment_id.not_in(attempts.unsettled_payment_ids()),
    )
    .order_by(Payment.next_retry_at)
    .limit(1)
    .with_for_update(skip_locked=True)  # invariant 3: a claim is exclusive
)
SELECT_ABANDONED = (
    select(Attempt, Payment)
    .join(Payment, Payment.payment_id == Attempt.payment_id)
    .where(Attempt.outcome.in_(UNSETTLED), UNCLAIMED)
    .order_by(Attempt.started_at)
    .limit(1)
    .with_for_update(skip_locked=True, of=Payment)
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed attempt, copied out of the transaction.

    `sent_at` set: it may have charged, with the Whop key that `sent_with` names. The card is the
    one that was declined. `is_single`: this may be the only retry that Whop allows.
    """

    attempt_id: int
    payment_id: str
    company_id: str
    number: int
    trigger: Trigger
    charge_method: ChargeMethod
    idempotency_key: str
    sent_at: datetime | None
    sent_with: str | None
    failures_before: int | None
    membership_id: str | None
    member_id: str | None
    payment_method_id: str | None
    card_last4: str | None
    is_single: bool
    until: datetime


@dataclass(frozen=True, slots=True)
class ChargeIntent:
    """Committed just before a charge. `before`: how Whop described the payment; `credential`: the
    Whop key we use; `backup_card`: the card, if it is another than the one on file."""

    before: PaymentReport
    credential: str
    backup_card: Card | None = None


def claim_due(
    session: Session, now: datetime, rules: RetryRules, *, retry_now: bool = False
) -> Claim | None:
    """Claims one payment whose retry is due, and opens its attempt. None: nothing is due.

    `retry_now`: only those that a creator has asked for.
    """
    asked = Payment.next_trigger == Trigger.CREATOR if retry_now else true()
    while (payment := session.scalar(SELECT_DUE.where(asked), {"now": now})) is not None:
        reviews.review(session, payment, now, rules)  # invariant 11: facts are looked at by claims
        if payment.status is not PaymentStatus.PENDING_RETRY:
            session.flush()
            continue
        card_bans.settle_decline(session, payment)
        # invariant 3: a card that has been banned meanwhile is not claimed
        if payments.is_forbidden(session, payment, now, rules):
            payments.schedule(session, payment, now, rules)
            session.flush()
            continue
        if is_over_card_limit(
            payment.card_brand, card_velocity.count_charges(session, payment, now)
        ):
            payments.move(session, payment, WAITING)
            session.flush()
            continue
        if card_velocity.count_charges_last_day(session, payment, now) >= MOST_IN_A_DAY:
            payments.postpone(session, payment, now + card_velocity.DAY / 4)
            session.flush()
            continue
        attempt = attempts.open_attempt(session, payment, now)
        return lease(session, payment, attempt, now)
    return None


def claim_unsettled(session: Session, now: datetime) -> Claim | None:
    """Claims one attempt whose lease has expired, to find out what happened. None: there is
    none."""
    found = session.execute(SELECT_ABANDONED, {"now": now}).one_or_none()
    if found is None:
        return None
    attempt, payment = found
    return lease(session, payment, attempt, now)


def lease(session: Session, payment: Payment, attempt: Attempt, now: datetime) -> Claim:
    payment.claimed_until = now + LEASE
    session.flush()
    return Claim(
        attempt_id=attempt.id,
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        number=attempt.number,
        trigger=attempt.trigger,
        charge_method=attempt.charge_method,
        idempotency_key=attempt.idempotency_key,
        sent_at=attempt.sent_at,
        sent_with=attempt.sent_with,
        failures_before=attempt.failures_before,
        membership_id=payment.membership_id,
        member_id=payment.member_id,
        payment_method_id=payment.payment_method_id,
        card_last4=payment.card_last4,
        is_single=payments.is_single(session, payment),
        until=payment.claimed_until,
    )


def mark_sent(
    session: Session, claim: Claim, sending: ChargeIntent, now: datetime, rules: RetryRules
) -> bool:
    """The last check before the charge. False: do not charge; the payment or the claim has
    changed."""
    # Before the payment is locked: facts.py says why.
    facts.record_reports(session, [sending.before], now)
    payment, attempt = lock_claim(session, claim)
    # invariant 3: what was just read is heard before the charge
    payment_reports.apply_report(session, payment, sending.before, now, rules)
    # invariant 11: facts are looked at just before the charge
    reviews.review(session, payment, now, rules)
    if (
        attempt.outcome not in UNSETTLED
        # invariant 3: the last look before the charge
        or payment.status is not PaymentStatus.PENDING_RETRY
        or payment.claimed_until != claim.until
        or claim.until <= now  # invariant 3: a lapsed lease does not charge
        or payment.window_ends_at <= now
        # invariant 3: what has become forbidden is not charged
        or payments.is_forbidden(session, payment, now, rules)
        # invariant 3: nor is another card that must not be charged either
        or (sending.backup_card and card_bans.is_banned(session, payment, sending.backup_card))
    ):
        return False
    if attempt.sent_at is None:
        attempt.sent_at = now
        attempt.sent_with = sending.credential
        attempt.failures_before = sending.before.failures
        if sending.backup_card is not None:
            attempt.payment_method_id = sending.backup_card.payment_method_id
    return True


def list_bans(session: Session, claim: Claim) -> list[Ban]:
    """Those of the member's cards."""
    theirs = Payment.payment_id == claim.payment_id
    return card_bans.list_bans(session, session.scalars(select(Payment).where(theirs)).one())


def lock_claim(session: Session, claim: Claim) -> tuple[Payment, Attempt]:
    """Locks the payment before it reads the attempt: webhooks use the same order."""
    payment = payments.lock_payments(session, [claim.payment_id])[claim.payment_id]
    attempt = session.get_one(Attempt, claim.attempt_id, populate_existing=True)
    return payment, attempt
