"""What the overview shows. All viewers share what is read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from dashboard.data.caching import FRESH, SLOW, cached
from dashboard.data.database import Unavailable, read
from dashboard.data.viewpoint import choose_viewpoint
from dashboard.settings import DashboardSettings
from db.company_settings.recovery import find_chosen_name
from db.models import Payment
from db.reporting import attention, search
from db.reporting.figures import Day, Summary
from db.reporting.given_back import find_given_back
from db.reporting.health import find_heartbeat, find_sync
from db.reporting.lift import Baseline, measure_baseline, measure_lift
from db.reporting.month_ends import MonthResult, find_month_end
from db.reporting.next_steps import Viewpoint, find_next_steps
from db.reporting.periods import begin_months
from db.reporting.pooled_lift import find_pooled
from db.reporting.summary import find_time_zone, read_figures
from db.reporting.trends import AtRisk, Trends, find_at_risk, find_trends
from db.session import now
from recovery.decline_codes import name_decline
from recovery.declines import DeclineClass
from recovery.health import DaemonHeartbeat, SyncState
from recovery.lift.comparison import Lift, NotEnoughData
from recovery.lift.pooling import PooledLift
from recovery.next_step import NextStep
from recovery.status import RecoveredBy
from recovery.wording import DAYS, UNKNOWN_PRODUCT, Period

ROWS = 25
ATTENTION_ROWS = 5
HISTORY_DAYS = DAYS[Period.HALF_YEAR]


@dataclass(frozen=True, slots=True)
class PaymentRow:
    payment_id: str
    member: str
    product: str | None
    amount: Decimal
    currency: str
    refunded_amount: Decimal
    disputed_amount: Decimal
    reason: str
    decline_class: DeclineClass
    retries: int
    failed_at: datetime
    recovered_at: datetime | None
    recovered_by: RecoveredBy | None
    next_step: NextStep


@dataclass(frozen=True, slots=True)
class Findings:
    """Our impact over Whop alone, what came back before the installation, and what creators gain
    together. None: unknown."""

    lift: Lift | NotEnoughData | None
    baseline: Baseline | None
    pooled: PooledLift | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one refresh shows, read in one transaction so that its parts agree."""

    company_id: str | None
    company_name: str | None
    time_zone: str
    summary: Summary
    trends: Trends
    given_back: Decimal
    month_end: MonthResult | None
    at_risk: AtRisk
    needed: tuple[attention.Needed, ...]
    needing_action: tuple[PaymentRow, ...]
    days: tuple[Day, ...]
    payments: tuple[PaymentRow, ...]
    findings: Findings
    heartbeat: DaemonHeartbeat | None
    sync: SyncState | None
    as_of: datetime


@cached(FRESH)
def take_snapshot(settings: DashboardSettings, company_id: str | None) -> Snapshot | Unavailable:
    view = choose_viewpoint(settings, now())
    return read(settings, lambda session: read_snapshot(session, company_id, view))


def read_snapshot(session: Session, company_id: str | None, view: Viewpoint) -> Snapshot:
    whose, at = company_id or "", view.now  # nobody's yet: all figures are zero
    zone = find_time_zone(session, whose)
    summary, days = read_figures(session, whose, zone, at, HISTORY_DAYS)
    last_month, this_month = begin_months(at, zone)
    newest = search.find_page(session, whose, search.Filters(), limit=ROWS).payments
    needing = [payment for payment, _ in attention.list_needed(session, whose, ATTENTION_ROWS)]
    return Snapshot(
        company_id=company_id,
        company_name=find_chosen_name(session, whose),
        time_zone=zone.key,
        summary=summary,
        trends=find_trends(session, whose, zone, days, summary.first_day, at),
        given_back=find_given_back(session, whose, this_month),
        month_end=find_month_end(session, whose, last_month.date()),
        at_risk=find_at_risk(session, whose, at),
        needed=tuple(attention.count_needed(session, whose)),
        needing_action=copy_payments(session, whose, needing, view),
        days=tuple(days),
        payments=copy_payments(session, whose, newest, view),
        findings=read_findings(session, whose),
        heartbeat=find_heartbeat(session),
        sync=find_sync(session, whose),
        as_of=at,
    )


@cached(SLOW)
def read_findings(session: Session, company_id: str) -> Findings:
    return Findings(
        measure_lift(session, company_id, now()),
        measure_baseline(session, company_id),
        find_pooled(session),
    )


def copy_payments(
    session: Session, company_id: str, payments: Sequence[Payment], view: Viewpoint
) -> tuple[PaymentRow, ...]:
    steps = find_next_steps(session, company_id, payments, view)
    return tuple(copy_payment(payment, steps[payment.id]) for payment in payments)


def copy_payment(payment: Payment, next_step: NextStep) -> PaymentRow:
    return PaymentRow(
        payment_id=payment.payment_id,
        member=payment.member_name or payment.member_email or payment.member_id or "Unknown",
        product=payment.product or (UNKNOWN_PRODUCT if payment.product_id else None),
        amount=payment.amount,
        currency=payment.currency,
        refunded_amount=payment.refunded_amount,
        disputed_amount=payment.disputed_amount,
        reason=name_decline(payment.decline_code, payment.reason),
        decline_class=payment.decline_class,
        # The retry that collected it was one too, though not a declined one.
        retries=payment.retry_count + (payment.recovered_by is RecoveredBy.RETRY),
        failed_at=payment.failed_at,
        recovered_at=payment.recovered_at,
        recovered_by=payment.recovered_by,
        next_step=next_step,
    )
