"""The figures of a creator's week: what failed, what was recovered and by whom, what needs them.

Money is in US dollars (docs/creators/figures.md). A payment without a dollar value is counted, but
is in no sum.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, func, select, true
from sqlalchemy.orm import Session

from db.creator_notices.weeks import Week
from db.ledger.unknown_payments import COUNTS
from db.models import Company, Payment
from db.reporting.attention import Needed, count_needed, list_needed
from db.reporting.health import find_sync
from db.reporting.summary import RECOVERED, count_if, sum_if, to_cents
from recovery.action_required import Need
from recovery.health import SyncState
from recovery.status import UNPAID, RecoveredBy

MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class Sum:
    payments: int
    amount: Decimal


NOTHING = Sum(0, Decimal("0.00"))


@dataclass(frozen=True, slots=True)
class Figures:
    """One week's figures. What was recovered without us is never in `ours`."""

    failed: Sum
    by_retry: Sum
    by_member: Sum
    without_us: Sum

    @property
    def ours(self) -> Sum:
        return Sum(
            self.by_retry.payments + self.by_member.payments,
            self.by_retry.amount + self.by_member.amount,
        )


@dataclass(frozen=True, slots=True)
class PaymentNeedingAction:
    """A payment that needs its creator, as the digest lists it."""

    payment_id: str
    member_name: str | None
    product: str | None
    amount: Decimal
    currency: str
    need: Need


@dataclass(frozen=True, slots=True)
class Digest:
    """`needed`: all that needs the creator, by reason. `needing_action`: the most valuable
    payments."""

    company: str
    week: Week
    figures: Figures
    before: Figures
    at_risk: Sum
    needed: tuple[Needed, ...]
    needing_action: tuple[PaymentNeedingAction, ...]
    sync: SyncState | None

    @property
    def needed_total(self) -> Sum:
        return Sum(
            sum(needed.payments for needed in self.needed),
            sum((needed.amount for needed in self.needed), Decimal("0.00")),
        )

    @property
    def is_empty(self) -> bool:
        figures = self.figures
        sums = (figures.failed, figures.ours, figures.without_us, self.at_risk)
        undelivered = self.sync is not None and self.sync.has_error
        return not (any(each.payments for each in sums) or self.needed or undelivered)


def measure_week(session: Session, company_id: str, week: Week) -> Digest:
    return Digest(
        company=find_name(session, company_id),
        week=week,
        figures=measure_figures(session, company_id, week),
        before=measure_figures(session, company_id, week.before),
        at_risk=measure_at_risk(session, company_id),
        needed=tuple(count_needed(session, company_id)),
        needing_action=list_needing_action(session, company_id),
        sync=find_sync(session, company_id),
    )


def list_needing_action(session: Session, company_id: str) -> tuple[PaymentNeedingAction, ...]:
    return tuple(
        PaymentNeedingAction(
            payment.payment_id,
            payment.member_name,
            payment.product,
            payment.amount,
            payment.currency,
            need,
        )
        for payment, need in list_needed(session, company_id, MOST_LISTED)
    )


def find_name(session: Session, company_id: str) -> str:
    return session.scalar(select(Company.name).where(Company.id == company_id)) or company_id


def measure_figures(session: Session, company_id: str, week: Week) -> Figures:
    """Failures by the time of failure, recoveries by the time of payment, each by its own index."""
    failed = measure_failed(
        session,
        Payment.company_id == company_id,
        Payment.failed_at >= week.start,
        Payment.failed_at < week.end,
        COUNTS,
    )
    within = and_(
        Payment.company_id == company_id,
        RECOVERED,
        Payment.recovered_at >= week.start,
        Payment.recovered_at < week.end,
    )
    return Figures(failed, *measure_by(session, within))


def measure_recoveries(
    session: Session, company_id: str, payment_ids: Collection[str]
) -> tuple[Sum, Sum]:
    """Of these payments: recovered by our retries, and by members after one of our messages."""
    wanted = and_(Payment.payment_id.in_(payment_ids), Payment.company_id == company_id, RECOVERED)
    by_retry, by_member, _ = measure_by(session, wanted)
    return by_retry, by_member


def measure_by(session: Session, within: ColumnElement[bool]) -> tuple[Sum, Sum, Sum]:
    """Recovered by retry, by member, and without us."""
    by = func.coalesce(Payment.recovered_by, RecoveredBy.WITHOUT_US)
    sums = select(by, count_if(), sum_if(true())).where(within).group_by(by)
    found = {by: Sum(number, to_cents(net)) for by, number, net in session.execute(sums)}
    ours_first = (RecoveredBy.RETRY, RecoveredBy.MEMBER, RecoveredBy.WITHOUT_US)
    by_retry, by_member, without_us = (found.get(by, NOTHING) for by in ours_first)
    return by_retry, by_member, without_us


def measure_at_risk(session: Session, company_id: str) -> Sum:
    return measure_failed(session, Payment.company_id == company_id, Payment.status.in_(UNPAID))


def measure_failed(session: Session, *conditions: ColumnElement[bool]) -> Sum:
    amount = sum_if(true(), Payment.amount_usd)
    number, failed = session.execute(select(count_if(), amount).where(*conditions)).one()
    return Sum(number, to_cents(failed))
