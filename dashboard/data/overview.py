"""What the first page shows. All viewers share what is read here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from dashboard.data.caching import FRESH, SLOW, keep
from dashboard.data.database import Trouble, read
from dashboard.settings import DashboardSettings
from db.models import Payment
from db.reporting import attention as troubles
from db.reporting import lift as worth
from db.reporting import search, trends
from db.reporting import summary as stats
from db.reporting.health import find_pulse, find_sync
from db.session import now
from recovery.action_required import Need
from recovery.declines import DeclineClass
from recovery.health import Pulse, SyncState
from recovery.lift import Lift, NotEnoughData
from recovery.status import ClosedReason, Means, PaymentStatus, RecoveredBy

ROWS = 25
NEEDY_ROWS = 5
HISTORY_DAYS = 26 * 7


@dataclass(frozen=True, slots=True)
class PaymentRow:
    payment_id: str
    member: str
    product: str | None
    amount: Decimal
    currency: str
    refunded_amount: Decimal
    reason: str
    decline_class: DeclineClass
    status: PaymentStatus
    retries: int
    next_retry_at: datetime | None
    whop_next_attempt_at: datetime | None
    claimed_until: datetime | None
    failed_at: datetime
    window_ends_at: datetime
    means: Means
    needs_you: Need | None
    recovered_by: RecoveredBy | None
    closed_reason: ClosedReason | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What our work adds over Whop alone, and how it was before us; None: nothing to say."""

    lift: Lift | NotEnoughData | None
    baseline: worth.Baseline | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one refresh shows, read in one transaction, so that its parts agree."""

    company_id: str | None
    time_zone: str
    summary: stats.Summary
    trend: trends.Trend
    at_risk: trends.AtRisk
    needed: tuple[troubles.Needed, ...]
    needy: tuple[PaymentRow, ...]
    days: tuple[stats.Day, ...]
    payments: tuple[PaymentRow, ...]
    findings: Findings
    pulse: Pulse | None
    sync: SyncState | None
    as_of: datetime


@keep(FRESH)
def take_snapshot(settings: DashboardSettings, company_id: str | None) -> Snapshot | Trouble:
    return read(settings, lambda session: read_snapshot(session, company_id, now()))


def read_snapshot(session: Session, company_id: str | None, at: datetime) -> Snapshot:
    whose = company_id or ""  # nobody's yet: all figures are zero
    newest = search.find_page(session, whose, search.Filters(), limit=ROWS).payments
    needs = troubles.find_needs_of(session, [payment.id for payment in newest])
    needy = troubles.list_needed(session, whose, NEEDY_ROWS)
    return Snapshot(
        company_id=company_id,
        time_zone=stats.find_time_zone(session, whose).key,
        summary=stats.summarize(session, whose, at),
        trend=trends.find_trend(session, whose, at),
        at_risk=trends.find_at_risk(session, whose, at),
        needed=tuple(troubles.count_needed(session, whose)),
        needy=tuple(copy_payment(payment, need) for payment, need in needy),
        days=tuple(stats.list_days(session, whose, HISTORY_DAYS, at)),
        payments=tuple(copy_payment(payment, needs.get(payment.id)) for payment in newest),
        findings=read_findings(session, whose),
        pulse=find_pulse(session),
        sync=find_sync(session, whose),
        as_of=at,
    )


@keep(SLOW)
def read_findings(session: Session, company_id: str) -> Findings:
    return Findings(
        worth.measure_lift(session, company_id, now()), worth.measure_baseline(session, company_id)
    )


def copy_payment(payment: Payment, need: Need | None = None) -> PaymentRow:
    return PaymentRow(
        payment_id=payment.payment_id,
        member=payment.member_name or payment.member_email or payment.member_id or "Unknown",
        product=payment.product,
        amount=payment.amount,
        currency=payment.currency,
        refunded_amount=payment.refunded_amount,
        reason=payment.reason,
        decline_class=payment.decline_class,
        status=payment.status,
        # The retry that collected it was one too, though not a declined one.
        retries=payment.retry_count + (payment.recovered_by is RecoveredBy.RETRY),
        next_retry_at=payment.next_retry_at,
        whop_next_attempt_at=payment.whop_next_attempt_at,
        claimed_until=payment.claimed_until,
        failed_at=payment.failed_at,
        window_ends_at=payment.window_ends_at,
        means=payment.next_means,
        needs_you=need,
        recovered_by=payment.recovered_by,
        closed_reason=payment.closed_reason,
    )
