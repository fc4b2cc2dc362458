"""What a holdout gives up: known before it is switched on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from db.models import Payment
from db.reporting.figures import to_cents
from db.reporting.summary import RECOVERED, SINCE_SETUP, count_if, sum_if
from recovery.status import CLAIMED

MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class MonthOfWork:
    """The last 30 days since the set-up: failed payments, and dollars that our retries and messages
    brought."""

    failures: int
    ours: Decimal


def measure_month(session: Session, company_id: str, now: datetime) -> MonthOfWork:
    since = now - MONTH
    failures = session.scalar(
        select(count_if()).where(
            Payment.company_id == company_id, SINCE_SETUP, Payment.failed_at >= since
        )
    )
    ours = session.scalar(
        select(sum_if(true())).where(
            Payment.company_id == company_id,
            RECOVERED,
            SINCE_SETUP,
            Payment.recovered_by.in_(CLAIMED),
            Payment.recovered_at >= since,
        )
    )
    return MonthOfWork(failures or 0, to_cents(ours or Decimal(0)))
