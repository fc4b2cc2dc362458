"""How far each company's payments are read back from Whop, and applying what was read.

Whop delivers a webhook again three times within about 70 seconds, then never (whop-api.md 4.4).
Read back payments pass the same `apply_report` as webhooks, so it does not matter which comes
first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.company_settings.recovery import add_companies, find_recovery_settings
from db.ledger import (
    facts,
    new_payments,
    payment_reports,
    payments,
    reviews,
    unknown_payments,
)
from db.ledger import inbox as events
from db.ledger.bulk_insert import lock_events
from db.ledger.inbox import Reader
from db.ledger.refunds import record_refund
from db.models import Company, Payment, Sync
from recovery.health import SyncFailure
from recovery.reports import PaymentReport, RefundReport
from recovery.retry_policy import RetryRules
from recovery.status import UNPAID, PaymentStatus

HISTORY = timedelta(days=90)
LEASE = timedelta(minutes=10)
# A payment that we have given up may still be paid, so it is read once a day for a month.
RECHECKED_FOR = timedelta(days=30)
RECHECK_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Progress:
    """One company's progress, copied out of the transaction."""

    company_id: str
    since: datetime
    import_cursor: str | None
    imported: bool
    read_until: datetime | None


def claim_sync(session: Session, company_id: str, now: datetime) -> Progress | None:
    """None: another daemon reads this company. The first reading begins 90 days back."""
    add_companies(session, {company_id})
    row = {"company_id": company_id, "since": now - HISTORY}
    session.execute(insert(Sync).values(row).on_conflict_do_nothing())
    free = or_(Sync.claimed_until.is_(None), Sync.claimed_until <= now)
    sync = session.scalar(
        update(Sync)
        .where(Sync.company_id == company_id, free)
        .values(claimed_until=now + LEASE)
        .returning(Sync)
    )
    if sync is None:
        return None
    return Progress(
        company_id, sync.since, sync.import_cursor, sync.imported_at is not None, sync.read_until
    )


def renew_claim(session: Session, company_id: str, now: datetime) -> None:
    update_sync(session, company_id, claimed_until=now + LEASE)


def record_page(session: Session, company_id: str, cursor: str | None, now: datetime) -> None:
    """Saves how far the import has come, in the transaction that applies the page."""
    done = {} if cursor else {"imported_at": now}
    update_sync(session, company_id, import_cursor=cursor, claimed_until=now + LEASE, **done)


def release_sync(
    session: Session,
    company_id: str,
    *,
    missing: Iterable[str] = (),
    failure: SyncFailure | None = None,
    read_until: datetime | None = None,
) -> None:
    """`read_until` only after a complete reading, so that the next one finds what this one
    missed."""
    complete = {"read_until": read_until} if read_until else {}
    update_sync(
        session,
        company_id,
        claimed_until=None,
        missing_permissions=sorted(missing),
        error=failure.error if failure else None,
        error_detail=failure.detail if failure else None,
        **complete,
    )


def update_sync(session: Session, company_id: str, **values: object) -> None:
    session.execute(update(Sync).where(Sync.company_id == company_id).values(values))


def apply_reports(
    session: Session,
    company_id: str,
    reports: Sequence[PaymentReport],
    now: datetime,
    rules: RetryRules,
    read: Reader,
    *,
    imported: bool = False,
) -> int:
    """Applies them all, and makes known the failed renewals of which no webhook told us.

    Returns how many those were.
    """
    lock_events(session, {report.payment_id for report in reports})
    # Before payments are locked: facts.py says why.
    concerns = facts.record_reports(session, reports, now)
    known = payments.lock_payments(session, [report.payment_id for report in reports])
    missed = [r for r in reports if r.payment_id not in known and has_failed(r)]
    recovery_settings = {company_id: find_recovery_settings(session, company_id)}
    created = new_payments.create_payments(
        session, missed, recovery_settings, now, rules, imported=imported
    )
    waited_for = {payment_id for payment_id, one in created.items() if one.waits}
    events.apply_waiting(session, waited_for, now, rules, read)
    known |= payments.lock_payments(session, created)
    for report in reports:
        payment = known.get(report.payment_id)
        # invariant 6: what is read back changes only its own company's payments
        if payment is not None and payment.company_id == company_id:
            payment_reports.apply_report(session, payment, report, now, rules)
            payment.read_at = now
    session.flush()
    reviews.review_all(session, concerns, now, rules)
    return len(created)


def has_failed(report: PaymentReport) -> bool:
    """Whether it is a renewal whose charge failed at least once, paid by now or not."""
    return report.renewal and (report.failed or (report.paid and bool(report.failures)))


def apply_refunds(session: Session, company_id: str, refunds: Sequence[RefundReport]) -> None:
    """Ignores refunds of payments that never failed."""
    known = payments.lock_payments(session, [refund.payment_id for refund in refunds])
    for refund in refunds:
        payment = known.get(refund.payment_id)
        if payment is not None and payment.company_id == company_id:
            record_refund(session, payment, refund)


def list_unread(
    session: Session, company_id: str, before: datetime, now: datetime, limit: int
) -> list[str]:
    """Payments not read since `before` that may have changed: the unpaid ones and, once a day,
    those given up recently. Longest unread first."""
    given_up = and_(
        Payment.status == PaymentStatus.PERMANENT_FAIL,
        or_(Payment.read_at.is_(None), Payment.read_at < now - RECHECK_EVERY),
    )
    unread = or_(Payment.read_at.is_(None), Payment.read_at < before)
    query = (
        select(Payment.payment_id)
        .where(
            Payment.company_id == company_id,
            # Older ones cannot be unpaid: their windows have ended.
            Payment.failed_at > now - RECHECKED_FOR,
            or_(and_(Payment.status.in_(UNPAID), unread), given_up),
        )
        .order_by(Payment.read_at.asc().nulls_first())
        .limit(limit)
    )
    return list(session.scalars(query))


def find_unnamed(session: Session, company_id: str) -> str | None:
    """A membership by which Whop can tell the company's name. None: the name is known, or there is
    no membership yet."""
    return session.scalar(
        select(Payment.membership_id)
        .join(Company, Company.id == Payment.company_id)
        .where(
            Payment.company_id == company_id,
            Payment.membership_id.is_not(None),
            Company.name.is_(None),
        )
        .order_by(Payment.failed_at.desc())
        .limit(1)
    )


def record_unknown(session: Session, payment_id: str, now: datetime) -> None:
    """For when Whop was asked and knows no such payment."""
    payment = payments.lock_payments(session, [payment_id]).get(payment_id)
    if payment is None:
        return
    if payment.status in UNPAID and payment.read_at is None:
        unknown_payments.close_unknown(session, payment, now)
    else:
        # Read again in its turn, as if it had been found.
        payment.read_at = now
