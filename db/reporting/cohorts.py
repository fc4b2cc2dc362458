"""Which payments a figure is about: one company's since the set-up, failed in a period, in the
chosen groups.

A payment's window is **closed** when its five days are over and the payment was recovered or given
up. Younger payments are left out, also those that are paid already: counting only the paid ones
would make the newest payments look best.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, Text, and_, cast, exists, false, func, select, true

from db.models import Attempt, Message, Payment
from db.reporting.summary import SINCE_SETUP
from recovery.status import AttemptOutcome, MessageState, PaymentStatus

TRIES = re.compile(r"[0-9]{1,3}", re.ASCII)
# Stands for a value that Whop has not reported.
UNKNOWN = "unknown"


class Dimension(StrEnum):
    """What payments can be grouped by. The value is used in the page's address."""

    CLASS = "class"
    TRY = "try"
    HOUR = "hour"
    WEEKDAY = "weekday"
    MONTH = "month"
    PRODUCT = "product"
    BRAND = "brand"
    STEP = "step"


# What the renewal failed for, whatever was answered to later charges.
FIRST_CLASS = func.coalesce(Payment.first_decline_class, Payment.decline_class)
# A charge reached a bank, which a refused one did not. What an unknown one did is not known.
CHARGED = Attempt.outcome.in_((AttemptOutcome.PAID, AttemptOutcome.DECLINED))


@dataclass(frozen=True, slots=True)
class Cohort:
    """One company's payments that failed since `since` and match all of `only`. `since` None:
    all."""

    company_id: str
    zone: ZoneInfo
    since: datetime | None
    now: datetime
    only: tuple[tuple[Dimension, str], ...] = ()


def closed(now: datetime) -> ColumnElement[bool]:
    over = Payment.status.in_((PaymentStatus.RECOVERED, PaymentStatus.PERMANENT_FAIL))
    return and_(over, Payment.window_ends_at <= now)


def make_key(dimension: Dimension, zone: ZoneInfo) -> ColumnElement[str]:
    """The payment's group as text, so that any text from an address can be compared with it.

    Raises ValueError for tries and steps, of which a payment has several.
    """
    local = func.timezone(zone.key, Payment.failed_at)
    match dimension:
        case Dimension.CLASS:
            return cast(FIRST_CLASS, Text)
        case Dimension.HOUR:
            return cast(func.extract("hour", local), Text)
        case Dimension.WEEKDAY:
            return cast(func.extract("isodow", local), Text)
        case Dimension.MONTH:
            return func.to_char(local, "YYYY-MM")
        case Dimension.PRODUCT:
            return func.coalesce(Payment.product, UNKNOWN)
        case Dimension.BRAND:
            return func.lower(func.coalesce(Payment.card_brand, UNKNOWN))
        case Dimension.TRY | Dimension.STEP:
            raise ValueError(f"a payment has several {dimension} values")


def match_value(cohort: Cohort, dimension: Dimension, value: str) -> ColumnElement[bool]:
    if dimension is Dimension.TRY:
        return match_tries(value)
    if dimension is Dimension.STEP:
        step, sent = cast(Message.step, Text), Message.state == MessageState.SENT
        return exists().where(Message.payment_id == Payment.payment_id, step == value, sent)
    return make_key(dimension, cohort.zone) == value


def match_tries(value: str) -> ColumnElement[bool]:
    """Whether it was tried at least so often; the failure itself is the first try."""
    if value == "1":
        return true()
    charges = (
        select(func.count() + 1)
        .where(Attempt.payment_id == Payment.payment_id, CHARGED)
        .scalar_subquery()
    )
    return charges >= int(value) if TRIES.fullmatch(value) else false()


def select_cohort(cohort: Cohort, about: Dimension | None, *columns: Any) -> Select[Any]:
    """`about`: the dimension that the figure compares. A choice in it filters the other figures
    only."""
    own = and_(Payment.company_id == cohort.company_id, SINCE_SETUP)
    query = select(*columns).select_from(Payment).where(own)
    if cohort.since is not None:
        query = query.where(Payment.failed_at >= cohort.since)
    others = [match_value(cohort, what, value) for what, value in cohort.only if what is not about]
    return query.where(*others)
