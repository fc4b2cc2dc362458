"""Writes down what the retry policy decides: a row for each answer that differs from the last.

The receiver makes first decisions by the thousand, so it leaves theirs unwritten: whoever touches
such a payment next writes them, from the facts as they still are, and the daemon does within a
minute. The caller owns the transaction and holds the row's lock.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, or_, select, text
from sqlalchemy.orm import Session

from db.company_settings.recovery import find_recovery_settings
from db.ledger.retry_context import ask_first
from db.models import Payment
from recovery.retrying.context import RetryRules
from recovery.retrying.diary import write_entry
from recovery.retrying.transitions import Question, Transition, answer
from recovery.status import UNPAID

MOST_AT_ONCE = 100
# A cycle passes over rows that are locked, so those that are due are left to it.
DUE_SOON = timedelta(minutes=5)
# Over before we were there: nothing was decided.
OF_HISTORY = and_(Payment.imported, Payment.status.not_in(UNPAID))
INSERT = text("""
insert into retry_decisions
    (company_id, payment_id, decided_at, policy, version, facts, retry_at, charge_method, why,
    possible)
select :company_id, :payment_id, :decided_at, :policy, :version, cast(:facts as jsonb),
    :retry_at, :charge_method, :why, cast(:possible as jsonb)
where not exists (
    select from (
        select policy, version, retry_at, charge_method, why from retry_decisions
        where payment_id = :payment_id order by id desc limit 1
    ) as last
    where (policy, version, retry_at, charge_method, why) is not distinct from
        (:policy, :version, cast(:retry_at as timestamptz), :charge_method, :why)
)
""")
SELECT_UNWRITTEN = (
    select(Payment)
    .where(
        Payment.created_at >= bindparam("since"),
        ~Payment.diary_begun,
        ~OF_HISTORY,
        or_(Payment.next_retry_at.is_(None), Payment.next_retry_at > bindparam("soon")),
    )
    .order_by(Payment.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def record(session: Session, payment: Payment, question: Question, transition: Transition) -> None:
    """Changes nothing where the answer is the last one."""
    entry = write_entry(question, transition)
    possible = [(at.isoformat(), probability) for at, probability in entry.possible]
    session.execute(
        INSERT,
        {
            "company_id": payment.company_id,
            "payment_id": payment.payment_id,
            "decided_at": question.now,
            "policy": entry.policy,
            "version": entry.version,
            "facts": json.dumps(entry.facts),
            "retry_at": entry.retry_at,
            "charge_method": entry.charge_method,
            "why": entry.why,
            "possible": json.dumps(possible),
        },
    )
    payment.diary_begun = True


def begin(session: Session, payment: Payment, rules: RetryRules) -> None:
    """Writes the first decision, unless it is written. Must be called before a fact changes.

    Where the plan is another than these facts give, it was not the policy's, or the settings have
    changed since: nothing is written.
    """
    if payment.diary_begun or (payment.imported and payment.status not in UNPAID):
        return
    question = ask_first(payment, find_recovery_settings(session, payment.company_id), rules)
    transition = answer(question)
    plan = payment.status, payment.next_retry_at, payment.next_charge_method
    if plan == (transition.status, transition.next_retry_at, transition.charge_method):
        record(session, payment, question, transition)
    payment.diary_begun = True


def begin_all(session: Session, since: datetime, now: datetime, rules: RetryRules) -> int:
    """Of payments that became known since then. Returns how many; fewer than MOST_AT_ONCE: there
    are no more."""
    values = {"since": since, "soon": now + DUE_SOON, "limit": MOST_AT_ONCE}
    found = session.scalars(SELECT_UNWRITTEN, values).all()
    for payment in found:
        begin(session, payment, rules)
    return len(found)
