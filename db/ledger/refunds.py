"""Refunds of a payment."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.ledger.amounts import NOT_FINAL, revalue
from db.ledger.payments import WrongCompanyError, move
from db.member_messages import cancellation
from db.models import Payment, Refund
from recovery.reports import RefundReport
from recovery.retrying.transitions import closed
from recovery.status import UNPAID, ClosedReason


def record_refund(session: Session, payment: Payment, report: RefundReport) -> None:
    """Saves the newest report of each refund. Pending refunds count as given back.

    Raises WrongCompanyError.
    """
    if report.company_id != payment.company_id:
        raise WrongCompanyError(f"{payment.payment_id} belongs to another company")
    made_at = min(report.refunded_at or report.observed_at, report.observed_at)
    values = asdict(report) | {"refunded_at": made_at}
    statement = insert(Refund).values(values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Refund.refund_id],
            set_=values | {"refunded_at": func.least(Refund.refunded_at, made_at)},
            where=(Refund.observed_at < report.observed_at)
            | ((Refund.observed_at == report.observed_at) & Refund.status.in_(NOT_FINAL)),
        )
    )
    if revalue(session, payment) == 0:
        return
    if payment.status in UNPAID:
        move(session, payment, closed(ClosedReason.REFUNDED))
    else:
        cancellation.cancel_messages(session, payment, "the payment is refunded")
