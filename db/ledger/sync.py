"""How far each company's payments are read back from Whop, and which are to be read next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.company_settings.recovery import add_companies
from db.models import Company, Payment, Sync
from recovery.health import SyncFailure
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
