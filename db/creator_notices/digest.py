"""A creator's week in figures: what failed, what came back and by whom, what needs a person.

Money is in US dollars as everywhere (docs/figures.md). A payment without a dollar value is
counted, and in no sum.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, func, select, true
from sqlalchemy.orm import Session

from db.models import Company, Payment
from db.reporting.cases import OPEN_FOR, Case, list_cases
from db.reporting.health import find_sync
from db.reporting.summary import RECOVERED, count_if, sum_if, to_cents
from recovery.health import SyncState
from recovery.status import UNPAID, RecoveredBy

SENT_AT = time(8)
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Week:
    """From a local Monday to the next. Its hours are not always 168."""

    monday: date
    zone: ZoneInfo

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def start(self) -> datetime:
        return self.at(self.monday)

    @property
    def end(self) -> datetime:
        return self.at(self.monday + WEEK)

    @property
    def digest_due_at(self) -> datetime:
        return self.at(self.monday + WEEK, SENT_AT)

    @property
    def occasion(self) -> str:
        """2026-W47: what the week is called, the same in every zone."""
        year, week, _ = self.monday.isocalendar()
        return f"{year}-W{week:02}"

    @property
    def before(self) -> Week:
        return Week(self.monday - WEEK, self.zone)

    def at(self, day: date, hour: time = time(0)) -> datetime:
        return datetime.combine(day, hour, self.zone).astimezone(UTC)


def find_told_week(now: datetime, zone: ZoneInfo) -> Week:
    """The newest whose digest is due."""
    today = now.astimezone(zone).date()
    week = Week(today - timedelta(days=today.weekday()) - WEEK, zone)
    return week if week.digest_due_at <= now else week.before


def read_week(occasion: str, zone: ZoneInfo) -> Week:
    year, week = occasion.split("-W")
    return Week(date.fromisocalendar(int(year), int(week), 1), zone)


@dataclass(frozen=True, slots=True)
class Sum:
    payments: int
    amount: Decimal


NOTHING = Sum(0, Decimal("0.00"))


@dataclass(frozen=True, slots=True)
class Figures:
    """One week's. What came back without us is never added to ours."""

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
class Digest:
    """`cases`: the most valuable of the `number_of_cases`."""

    company: str
    week: Week
    figures: Figures
    before: Figures
    at_risk: Sum
    cases: tuple[Case, ...]
    number_of_cases: int
    sync: SyncState | None

    @property
    def is_empty(self) -> bool:
        figures = self.figures
        sums = (figures.failed, figures.ours, figures.without_us, self.at_risk)
        troubled = self.sync is not None and self.sync.is_troubled
        return not (any(each.payments for each in sums) or self.cases or troubled)


def measure_week(session: Session, company_id: str, week: Week, now: datetime) -> Digest:
    cases, number = list_cases(session, company_id, now)
    return Digest(
        company=find_name(session, company_id),
        week=week,
        figures=measure_figures(session, company_id, week),
        before=measure_figures(session, company_id, week.before),
        at_risk=measure_at_risk(session, company_id, now),
        cases=cases,
        number_of_cases=number,
        sync=find_sync(session, company_id),
    )


def find_name(session: Session, company_id: str) -> str:
    return session.scalar(select(Company.name).where(Company.id == company_id)) or company_id


def measure_figures(session: Session, company_id: str, week: Week) -> Figures:
    """Failed by the time of failure, recovered by the time of payment, each by its own index."""
    failed = measure_failed(
        session,
        Payment.company_id == company_id,
        Payment.failed_at >= week.start,
        Payment.failed_at < week.end,
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
    """Of these payments: by our retries, and by members after a message of ours."""
    wanted = and_(Payment.payment_id.in_(payment_ids), Payment.company_id == company_id, RECOVERED)
    by_retry, by_member, _ = measure_by(session, wanted)
    return by_retry, by_member


def measure_by(session: Session, within: ColumnElement[bool]) -> tuple[Sum, Sum, Sum]:
    """By retry, by member, without us."""
    by = func.coalesce(Payment.recovered_by, RecoveredBy.WITHOUT_US)
    sums = select(by, count_if(), sum_if(true())).where(within).group_by(by)
    found = {by: Sum(number, to_cents(net)) for by, number, net in session.execute(sums)}
    ours_first = (RecoveredBy.RETRY, RecoveredBy.MEMBER, RecoveredBy.WITHOUT_US)
    by_retry, by_member, without_us = (found.get(by, NOTHING) for by in ours_first)
    return by_retry, by_member, without_us


def measure_at_risk(session: Session, company_id: str, now: datetime) -> Sum:
    return measure_failed(
        session,
        Payment.company_id == company_id,
        Payment.failed_at > now - OPEN_FOR,
        Payment.status.in_(UNPAID),
    )


def measure_failed(session: Session, *conditions: ColumnElement[bool]) -> Sum:
    amount = sum_if(true(), Payment.amount_usd)
    number, failed = session.execute(select(count_if(), amount).where(*conditions)).one()
    return Sum(number, to_cents(failed))
