"""Payments that need their creator, as SQL. The rule is recovery/action_required.py's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Integer, and_, case, cast, false, func, not_, or_, select
from sqlalchemy.orm import Session

from db.models import Message, Payment
from db.reporting.summary import COMPARED
from recovery.action_required import ONLY_THE_MEMBER, Need
from recovery.declines import DeclineClass
from recovery.status import UNPAID, Channel, MailTrouble, MessageState, PaymentStatus
from recovery.transitions import WINDOW

SPAN = timedelta(days=6)
SPANS = 2 * COMPARED // SPAN
NOT_ARRIVED = (MailTrouble.BOUNCED, MailTrouble.DROPPED)
# A chat message inside of Whop, or a mail that nobody sent back, has told the member.
TOLD = and_(
    Message.state == MessageState.SENT,
    or_(Message.channel != Channel.EMAIL, Message.trouble.is_(None)),
)
# As a value and not as `exists`, which may be answered by reading everybody's messages.
UNREACHED = func.coalesce(
    select(and_(func.bool_or(Message.trouble.in_(NOT_ARRIVED)), not_(func.bool_or(TOLD))))
    .where(Message.payment_id == Payment.payment_id)
    .scalar_subquery(),
    false(),
)
WAITS_FOR_MEMBER = and_(Payment.decline_class.in_(ONLY_THE_MEMBER), Payment.held_out.is_not(True))
NEED = case(
    (Payment.decline_class == DeclineClass.AMOUNT, Need.AMOUNT.value),
    (Payment.decline_class == DeclineClass.DUPLICATE, Need.DUPLICATE.value),
    (
        and_(WAITS_FOR_MEMBER, func.coalesce(Payment.member_email, "") == ""),
        Need.NO_ADDRESS.value,
    ),
    (and_(WAITS_FOR_MEMBER, UNREACHED), Need.UNREACHED.value),
)
"""Of a payment that is `failed`; null: it does not need its creator."""


@dataclass(frozen=True, slots=True)
class AtRisk:
    """How many payments are unpaid and not given up, when the next of them runs out of time, and
    how many have less than one day left, one to two, and so on."""

    payments: int
    nearest_end: datetime | None
    by_days_left: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """Of payments whose five days are over: how many failed, and how many of them came back, for
    every six days of failures in 60, oldest first."""

    spans: tuple[tuple[int, int], ...]

    @property
    def last(self) -> tuple[int, int]:
        """Of 30 days."""
        return add_up(self.spans[len(self.spans) // 2 :])

    @property
    def before(self) -> tuple[int, int]:
        return add_up(self.spans[: len(self.spans) // 2])


@dataclass(frozen=True, slots=True)
class Needed:
    """How many payments wait for their creator for one reason, and their worth in dollars."""

    need: Need
    payments: int
    amount: Decimal


def find_at_risk(session: Session, company_id: str, now: datetime) -> AtRisk:
    ends = session.scalars(
        select(Payment.window_ends_at).where(
            Payment.company_id == company_id, Payment.status.in_(UNPAID)
        )
    ).all()
    left = [0] * WINDOW.days
    for end in ends:
        left[min(max((end - now).days, 0), WINDOW.days - 1)] += 1
    return AtRisk(len(ends), min(ends, default=None), tuple(left))


def add_up(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(failed for failed, _ in spans), sum(recovered for _, recovered in spans)


def find_trend(session: Session, company_id: str, now: datetime) -> Trend:
    """Those still being worked on would only make the newer days look worse."""
    end = now - WINDOW
    seconds = func.extract("epoch", end - Payment.failed_at)
    ago = cast(func.floor(seconds / SPAN.total_seconds()), Integer).label("ago")
    rows = session.execute(
        select(ago, func.count(), func.count().filter(Payment.status == PaymentStatus.RECOVERED))
        .where(
            Payment.company_id == company_id,
            Payment.failed_at <= end,
            Payment.failed_at > end - 2 * COMPARED,
        )
        .group_by(ago)
    )
    found = {number: (failed, recovered) for number, failed, recovered in rows}
    return Trend(tuple(found.get(number, (0, 0)) for number in reversed(range(SPANS))))


def count_needed(session: Session, company_id: str) -> list[Needed]:
    """Only what is unpaid is looked at: some hundred rows, whatever the history."""
    rows = session.execute(
        select(NEED, func.count(), func.coalesce(func.sum(Payment.amount_usd), 0))
        .where(
            Payment.company_id == company_id,
            Payment.status == PaymentStatus.FAILED,
            NEED.is_not(None),
        )
        .group_by(NEED)
        .order_by(func.count().desc())
    )
    return [Needed(Need(need), count, amount) for need, count, amount in rows]


def list_needed(session: Session, company_id: str, limit: int) -> Sequence[tuple[Payment, Need]]:
    """The largest first."""
    rows = session.execute(
        select(Payment, NEED)
        .where(
            Payment.company_id == company_id,
            Payment.status == PaymentStatus.FAILED,
            NEED.is_not(None),
        )
        .order_by(Payment.amount_usd.desc().nulls_last(), Payment.id.desc())
        .limit(limit)
    )
    return [(payment, Need(need)) for payment, need in rows]


def find_needs_of(session: Session, ids: Collection[int]) -> dict[int, Need]:
    """By the row's id, of those that have one."""
    # In one expression: a condition on the status would have all that is unpaid looked through.
    need = case((Payment.status == PaymentStatus.FAILED, NEED))
    rows = session.execute(select(Payment.id, need).where(Payment.id.in_(ids), need.is_not(None)))
    return {number: Need(need) for number, need in rows}
