"""Observes how Whop treats a company's payments, and keeps it with the company."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Row, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from db.company_settings.recovery import UNKNOWN_METHOD
from db.models import Attempt, Company, Payment
from recovery.retrying.whop_habits import OBSERVED_FOR, Answer, Gap, observe
from recovery.status import OUR_TRIGGERS, AttemptOutcome, Trigger

OBSERVED_EVERY = timedelta(days=1)
# The newest are enough, however large the company.
MOST_PAYMENTS = 2_000
METHOD = func.coalesce(Payment.payment_method_type, UNKNOWN_METHOD)
MEMBER = func.coalesce(Payment.member_id, Payment.payment_id)
NEWEST = (
    select(Payment.payment_id, METHOD.label("method"), MEMBER.label("member"), Payment.failed_at)
    .where(
        Payment.company_id == bindparam("company_id"),
        Payment.failed_at >= bindparam("since"),
        ~Payment.imported,
    )
    .order_by(Payment.failed_at.desc(), Payment.id.desc())
    .limit(MOST_PAYMENTS)
    .subquery()
)
SELECT_CHARGES = (
    select(NEWEST, Attempt.trigger, Attempt.outcome, Attempt.finished_at, Attempt.retryable_after)
    .join(Attempt, Attempt.payment_id == NEWEST.c.payment_id)
    .where(Attempt.outcome.in_((AttemptOutcome.PAID, AttemptOutcome.DECLINED)))
    .order_by(NEWEST.c.payment_id, Attempt.finished_at, Attempt.number)
)


def list_unobserved(session: Session, now: datetime) -> Sequence[str]:
    """Companies that were not looked at today."""
    due = or_(
        Company.habits_observed_at.is_(None), Company.habits_observed_at <= now - OBSERVED_EVERY
    )
    return session.scalars(select(Company.id).where(due).order_by(Company.id)).all()


def observe_company(session: Session, company_id: str, now: datetime) -> None:
    gaps: defaultdict[str, list[Gap]] = defaultdict(list)
    answers: defaultdict[str, list[Answer]] = defaultdict(list)
    rows = session.execute(SELECT_CHARGES, {"company_id": company_id, "since": now - OBSERVED_FOR})
    for _, charges in groupby(rows, key=lambda row: row.payment_id):
        theirs = list(charges)
        gaps[theirs[0].method] += list_gaps(theirs)
        answers[theirs[0].method] += list_answers(theirs)
    habits = {method: observe(gaps[method], answers[method]) for method in gaps | answers}
    kept = {
        method: (habit.gap.total_seconds() if habit.gap else None, habit.retries)
        for method, habit in sorted(habits.items())
    }
    # Not locked beforehand: new payments would wait for it.
    session.execute(
        update(Company)
        .where(Company.id == company_id)
        .values(whop_habits=kept, habits_observed_at=now)
    )


def list_gaps(charges: Sequence[Row[Any]]) -> Iterator[Gap]:
    """The failure itself was Whop's first charge."""
    first = charges[0]
    made = [(Trigger.WHOP, first.failed_at)]
    made += [(charge.trigger, charge.finished_at) for charge in charges]
    for (one, at), (other, later) in pairwise(made):
        if one is Trigger.WHOP and other is Trigger.WHOP:
            yield Gap(first.member, later - at)


def list_answers(charges: Iterable[Row[Any]]) -> Iterator[Answer]:
    """What Whop said after our first retry."""
    ours = (charge for charge in charges if charge.trigger in OUR_TRIGGERS)
    first = next(ours, None)
    if first is not None and first.retryable_after is not None:
        yield Answer(first.member, first.retryable_after)
