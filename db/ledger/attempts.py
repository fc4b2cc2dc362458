"""Attempts to collect a payment. Ours are opened before the charge and finished exactly once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, bindparam, exists, func, select, text
from sqlalchemy.orm import Session

from db.models import Attempt, Payment
from recovery.reports import PaymentReport
from recovery.status import UNSETTLED, AttemptOutcome, ChargeMethod, Trigger

# These run for every event or charge, so they are built once: building costs more than running.
SELECT_UNSETTLED = select(Attempt).where(
    Attempt.payment_id == bindparam("payment_id"), Attempt.outcome.in_(UNSETTLED)
)
SELECT_LAST_NUMBER = select(func.max(Attempt.number)).where(
    Attempt.payment_id == bindparam("payment_id")
)


INSERT_FOREIGN = text("""
insert into attempts
    (payment_id, company_id, number, trigger, outcome, idempotency_key, started_at, finished_at)
select :payment_id, :company_id,
    (select coalesce(max(number), 0) + 1 from attempts where payment_id = :payment_id),
    :trigger, :outcome, :key, :at, :at
where not exists (
    select from attempts
    where payment_id = :payment_id and failures_before = :after_failures
        and trigger in ('schedule', 'creator')
        and outcome in ('declined', 'open', 'pending', 'unknown')
)
on conflict (idempotency_key) do nothing
""")
DELETE_FOREIGN = text("delete from attempts where idempotency_key = :key")


def unsettled_payment_ids() -> Select[str]:
    return select(Attempt.payment_id).where(Attempt.outcome.in_(UNSETTLED))


def find_unsettled(session: Session, payment: Payment) -> Attempt | None:
    """At most one, by a unique index. A payment that was never claimed has none."""
    if payment.claimed_until is None:
        return None
    return session.scalar(SELECT_UNSETTLED, {"payment_id": payment.payment_id})


def open_attempt(session: Session, payment: Payment, now: datetime) -> Attempt:
    """Committed before the charge. Whop runs a key at most once."""
    number = next_number(session, payment)
    attempt = Attempt(
        payment_id=payment.payment_id,
        company_id=payment.company_id,
        number=number,
        trigger=payment.next_trigger,
        charge_method=payment.next_charge_method,
        outcome=AttemptOutcome.OPEN,
        idempotency_key=f"retry:{payment.payment_id}:{number}",
        planned_at=payment.next_retry_at,
        started_at=now,
    )
    session.add(attempt)
    return attempt


def next_number(session: Session, payment: Payment) -> int:
    return (session.scalar(SELECT_LAST_NUMBER, {"payment_id": payment.payment_id}) or 0) + 1


def has_tried_backup(session: Session, payment: Payment) -> bool:
    query = exists().where(
        Attempt.payment_id == payment.payment_id, Attempt.charge_method == ChargeMethod.BACKUP_CARD
    )
    return bool(session.scalar(select(query)))


def has_sent_backup(session: Session, payment: Payment) -> bool:
    """Whether the member's other card may have been charged: that is done once."""
    query = exists().where(
        Attempt.payment_id == payment.payment_id,
        Attempt.charge_method == ChargeMethod.BACKUP_CARD,
        Attempt.sent_at.is_not(None),
    )
    return bool(session.scalar(select(query)))


def find_backup_card(session: Session, payment: Payment, failures: int | None) -> str | None:
    """The member's other card, where the failure of this number was our charge of it."""
    return session.scalar(
        select(Attempt.payment_method_id).where(
            Attempt.payment_id == payment.payment_id,
            Attempt.charge_method == ChargeMethod.BACKUP_CARD,
            Attempt.sent_at.is_not(None),
            Attempt.failures_before == (failures or 0) - 1,
        )
    )


# --- attempts that are not ours ----------------------------------------------------------------
# The first failure is the payment itself; these are the later ones. Each has a key of its own, so
# it is written once, in whatever order and however often it is reported.


def record_foreign_failure(session: Session, payment: Payment, report: PaymentReport) -> None:
    """Records the failure in this report, unless it was our own charge.

    Whop numbers the failures of a payment. Older payloads have no number, so nothing is recorded.
    """
    number, failed_at = report.failures, report.last_attempt_at
    if number is None or number < 2 or failed_at is None:
        return
    key = f"whop:{payment.payment_id}:{number}"
    record_foreign(
        session, payment, key, Trigger.WHOP, AttemptOutcome.DECLINED, failed_at, number - 1
    )


def record_foreign_payment(
    session: Session, payment: Payment, trigger: Trigger, paid_at: datetime
) -> None:
    delete_foreign_payment(session, payment)
    key = paid_key(payment)
    record_foreign(session, payment, key, trigger, AttemptOutcome.PAID, paid_at)


def delete_foreign_payment(session: Session, payment: Payment) -> None:
    """For when the charge turns out to be ours or somebody else's."""
    session.execute(DELETE_FOREIGN, {"key": paid_key(payment)})


def paid_key(payment: Payment) -> str:
    return f"paid:{payment.payment_id}"


def record_foreign(
    session: Session,
    payment: Payment,
    key: str,
    trigger: Trigger,
    outcome: AttemptOutcome,
    at: datetime,
    after_failures: int | None = None,
) -> None:
    """Records nothing where our own charge came after `after_failures` failures."""
    session.flush()
    session.execute(
        INSERT_FOREIGN,
        {
            "payment_id": payment.payment_id,
            "company_id": payment.company_id,
            "trigger": trigger.value,
            "outcome": outcome.value,
            "key": key,
            "at": at,
            "after_failures": after_failures,
        },
    )


# --- settling ours -----------------------------------------------------------------------------


def leave_open(attempt: Attempt, outcome: AttemptOutcome, detail: str | None) -> None:
    """Concludes nothing: Whop is asked again later."""
    attempt.outcome, attempt.detail = outcome, detail


def finish(
    payment: Payment,
    attempt: Attempt,
    outcome: AttemptOutcome,
    now: datetime,
    detail: str | None = None,
) -> None:
    """The only place that counts a retry. It counts the change of outcome, so never twice."""
    declined = AttemptOutcome.DECLINED
    payment.retry_count += (outcome is declined) - (attempt.outcome is declined)
    attempt.outcome = outcome
    attempt.finished_at = now
    attempt.detail = detail
