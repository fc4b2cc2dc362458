"""What was given back since a moment, of whichever month's money."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import and_, func, literal, select
from sqlalchemy.orm import Session

from db.ledger.amounts import GIVEN_BACK
from db.models import Dispute, Payment, Refund
from db.reporting.figures import NO_MONEY, to_cents
from db.reporting.summary import RECOVERED, SINCE_SETUP


def find_given_back(session: Session, company_id: str, since: datetime) -> Decimal:
    """In dollars: refunds by when they were made, pending ones included, and what disputes take,
    open or lost, by when they were opened. Of payments since the set-up whose dollars are
    known; a refund in another currency than the payment's is left out."""
    counts = and_(RECOVERED, SINCE_SETUP)
    rate = Payment.amount_usd / func.nullif(Payment.amount, 0)
    same_currency = func.coalesce(Refund.currency, Payment.currency) == Payment.currency
    refunds = (
        select(func.sum(rate * func.least(Refund.amount, Payment.amount)))
        .select_from(Refund)
        .join(Payment, Payment.payment_id == Refund.payment_id)
        .where(
            Refund.company_id == company_id,
            Refund.refunded_at >= since,
            Refund.status.in_(GIVEN_BACK),
            Payment.company_id == company_id,
            counts,
            same_currency,
        )
    )
    disputes = (
        select(func.sum(rate * Payment.disputed_amount))
        .select_from(Dispute)
        .join(Payment, Payment.payment_id == Dispute.payment_id)
        .where(
            Dispute.company_id == company_id,
            Dispute.opened_at >= since,
            Payment.company_id == company_id,
            counts,
        )
    )
    parts = (func.coalesce(part.scalar_subquery(), 0) for part in (refunds, disputes))
    return to_cents(session.scalar(select(sum(parts, start=literal(0)))) or NO_MONEY)
