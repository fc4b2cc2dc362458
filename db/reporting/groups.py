"""Payments with something in common: how many of them are recovered, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import Session

from db.models import Payment
from db.reporting.cohorts import Cohort, Dimension, closed, make_key, select_cohort
from db.reporting.figures import to_cents
from db.reporting.summary import RECOVERED, UNCONVERTED, count_if, sum_if
from recovery.status import CLAIMED, PaymentStatus, RecoveredBy

BY_RETRY = and_(RECOVERED, Payment.recovered_by == RecoveredBy.RETRY)
BY_CLICK = and_(RECOVERED, Payment.recovered_by == RecoveredBy.CLICK)
BY_MEMBER = and_(RECOVERED, Payment.recovered_by == RecoveredBy.MEMBER)
WITHOUT_US = and_(RECOVERED, Payment.recovered_by.in_(CLAIMED).is_not(True))
WAYS = (BY_RETRY, BY_CLICK, BY_MEMBER, WITHOUT_US)


@dataclass(frozen=True, slots=True)
class Counts:
    """Recovered payments by who brought them."""

    retry: int
    click: int
    member: int
    without_us: int

    @property
    def parts(self) -> tuple[int, ...]:
        """In the order of RecoveredBy."""
        return self.retry, self.click, self.member, self.without_us

    @property
    def total(self) -> int:
        return sum(self.parts)


@dataclass(frozen=True, slots=True)
class Group:
    """Payments with something in common. Money in dollars.

    `newer`: those not closed yet, whatever has become of them so far: `newer_recovered`,
    `newer_lost`, and the rest.
    """

    key: str
    closed: int
    by: Counts
    newer: int
    newer_recovered: int
    newer_lost: int
    failed_amount: Decimal
    recovered_amount: Decimal
    unconverted: int

    @property
    def recovered(self) -> int:
        return self.by.total

    @property
    def newer_open(self) -> int:
        return self.newer - self.newer_recovered - self.newer_lost


def describe_group(now: datetime) -> list[ColumnElement[Any]]:
    over = closed(now)
    return [
        count_if(over),
        *(count_if(and_(over, way)) for way in WAYS),
        count_if(~over),
        count_if(and_(~over, RECOVERED)),
        count_if(and_(~over, Payment.status == PaymentStatus.PERMANENT_FAIL)),
        sum_if(over, Payment.failed_amount_usd),
        sum_if(and_(over, RECOVERED)),
        count_if(and_(over, UNCONVERTED)),
    ]


def make_group(key: str, *row: Any) -> Group:
    """`row` is in the order of `describe_group`, which is that of Group's fields."""
    over, *ways, newer, newer_recovered, newer_lost, failed, recovered, unconverted = row
    money = to_cents(failed), to_cents(recovered)
    found = (Counts(*ways), newer, newer_recovered, newer_lost)
    return Group(key, over, *found, *money, unconverted)


def sum_cohort(session: Session, cohort: Cohort) -> Group:
    """Over the whole cohort."""
    row = session.execute(select_cohort(cohort, None, *describe_group(cohort.now))).one()
    return make_group("", *row)


def list_groups(session: Session, cohort: Cohort, by: Dimension) -> list[Group]:
    """In the order of their keys. Not for tries and steps, of which a payment has several."""
    key = make_key(by, cohort.zone).label("key")
    query = select_cohort(cohort, by, key, *describe_group(cohort.now)).group_by(key)
    return sorted((make_group(*row) for row in session.execute(query)), key=lambda one: one.key)
