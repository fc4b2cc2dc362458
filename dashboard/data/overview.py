"""What the overview shows. All viewers share what is read here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from dashboard.data.caching import FRESH, SLOW, cached
from dashboard.data.database import Unavailable, read
from dashboard.settings import DashboardSettings
from db.company_settings.recovery import find_chosen_name
from db.models import Payment
from db.reporting import attention, search, trends
from db.reporting.health import find_heartbeat, find_sync
from db.reporting.lift import Baseline, measure_baseline, measure_lift
from db.reporting.summary import Day, Summary, find_time_zone, list_days, summarize
from db.session import now
from recovery.action_required import Need
from recovery.decline_codes import name_decline
from recovery.declines import DeclineClass
from recovery.health import DaemonHeartbeat, SyncState
from recovery.lift import Lift, NotEnoughData
from recovery.status import ChargeMethod, ClosedReason, PaymentStatus, RecoveredBy
from recovery.wording import DAYS, Period

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
    reason: str
    decline_class: DeclineClass
    status: PaymentStatus
    retries: int
    next_retry_at: datetime | None
    whop_next_attempt_at: datetime | None
    claimed_until: datetime | None
    failed_at: datetime
    window_ends_at: datetime
    charge_method: ChargeMethod
    needs_you: Need | None
    recovered_by: RecoveredBy | None
    closed_reason: ClosedReason | None


@dataclass(frozen=True, slots=True)
class Findings:
    """Our impact over Whop alone, and what came back before the installation. None: unknown."""

    lift: Lift | NotEnoughData | None
    baseline: Baseline | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one refresh shows, read in one transaction so that its parts agree."""

    company_id: str | None
    company_name: str | None
    time_zone: str
    summary: Summary
    trend: trends.Trend
    at_risk: trends.AtRisk
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
    return read(settings, lambda session: read_snapshot(session, company_id, now()))


def read_snapshot(session: Session, company_id: str | None, at: datetime) -> Snapshot:
    whose = company_id or ""  # nobody's yet: all figures are zero
    newest = search.find_page(session, whose, search.Filters(), limit=ROWS).payments
    needs = attention.find_needs_of(session, [payment.id for payment in newest])
    needing_action = attention.list_needed(session, whose, ATTENTION_ROWS)
    return Snapshot(
        company_id=company_id,
        company_name=find_chosen_name(session, whose),
        time_zone=find_time_zone(session, whose).key,
        summary=summarize(session, whose, at),
        trend=trends.find_trend(session, whose, at),
        at_risk=trends.find_at_risk(session, whose, at),
        needed=tuple(attention.count_needed(session, whose)),
        needing_action=tuple(copy_payment(payment, need) for payment, need in needing_action),
        days=tuple(list_days(session, whose, HISTORY_DAYS, at)),
        payments=tuple(copy_payment(payment, needs.get(payment.id)) for payment in newest),
        findings=read_findings(session, whose),
        heartbeat=find_heartbeat(session),
        sync=find_sync(session, whose),
        as_of=at,
    )


@cached(SLOW)
def read_findings(session: Session, company_id: str) -> Findings:
    return Findings(measure_lift(session, company_id, now()), measure_baseline(session, company_id))


def copy_payment(payment: Payment, need: Need | None = None) -> PaymentRow:
    return PaymentRow(
        payment_id=payment.payment_id,
        member=payment.member_name or payment.member_email or payment.member_id or "Unknown",
        product=payment.product,
        amount=payment.amount,
        currency=payment.currency,
        refunded_amount=payment.refunded_amount,
        reason=name_decline(payment.decline_code, payment.reason),
        decline_class=payment.decline_class,
        status=payment.status,
        # The retry that collected it was one too, though not a declined one.
        retries=payment.retry_count + (payment.recovered_by is RecoveredBy.RETRY),
        next_retry_at=payment.next_retry_at,
        whop_next_attempt_at=payment.whop_next_attempt_at,
        claimed_until=payment.claimed_until,
        failed_at=payment.failed_at,
        window_ends_at=payment.window_ends_at,
        charge_method=payment.next_charge_method,
        needs_you=need,
        recovered_by=payment.recovered_by,
        closed_reason=payment.closed_reason,
    )
