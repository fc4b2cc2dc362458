"""How often a card was charged recently, by Whop or us and for any payment: the card networks count
per card (recovery-rules.md 3.1 and 3.2)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from db.models import Attempt, Payment
from recovery.status import AttemptOutcome

# The networks' 30 days, plus the five in which a payment may still be tried.
LOOKED_BACK = timedelta(days=35)
DAY = timedelta(days=1)
TRIES = func.greatest(func.coalesce(Payment.whop_failures, 1), 1 + Payment.retry_count)
SAME_CARD = (
    Payment.company_id == bindparam("company_id"),
    Payment.card_last4 == bindparam("last4"),
    Payment.card_brand.is_not_distinct_from(bindparam("brand")),
    Payment.card_expiry.is_not_distinct_from(bindparam("expiry")),
    Payment.failed_at > bindparam("since"),
)
COUNT_CHARGES = select(func.coalesce(func.sum(TRIES), 0)).where(
    *SAME_CARD, Payment.payment_id != bindparam("payment_id")
)
# The first failure is the payment itself, later charges are attempts; refused ones were no charge.
COUNT_LATELY = select(
    select(func.count())
    .select_from(Payment)
    .where(*SAME_CARD, Payment.failed_at > bindparam("lately"))
    .scalar_subquery()
    + select(func.count())
    .select_from(Attempt)
    .join(Payment, Payment.payment_id == Attempt.payment_id)
    .where(
        *SAME_CARD,
        Attempt.started_at > bindparam("lately"),
        Attempt.outcome != AttemptOutcome.REFUSED,
    )
    .scalar_subquery()
)


def count_charges(session: Session, payment: Payment, now: datetime) -> int:
    """Charges of this payment and of all others on the same card.

    Each payment counts with all its charges, also those older than 30 days: rather one too many.
    """
    own = max(payment.whop_failures or 1, 1 + payment.retry_count)
    if payment.card_last4 is None:
        return own
    others = session.scalar(
        COUNT_CHARGES, describe(payment, now) | {"payment_id": payment.payment_id}
    )
    return own + int(others or 0)


def count_charges_last_day(session: Session, payment: Payment, now: datetime) -> int:
    """Charges on the payment's card in the last 24 hours, its own included."""
    if payment.card_last4 is None:
        return 0
    asked = describe(payment, now) | {"lately": now - DAY}
    return int(session.scalar(COUNT_LATELY, asked) or 0)


def describe(payment: Payment, now: datetime) -> dict[str, object]:
    return {
        "company_id": payment.company_id,
        "last4": payment.card_last4,
        "brand": payment.card_brand,
        "expiry": payment.card_expiry,
        "since": now - LOOKED_BACK,
    }
