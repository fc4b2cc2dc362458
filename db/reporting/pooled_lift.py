"""What creators gain together: read for each, kept for all, naming none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Company, PooledGain
from db.reporting.lift import list_strata
from recovery.lift.effects import estimate_by_number
from recovery.lift.groups import Effect, Interval
from recovery.lift.pooling import LEAST_COMPANIES, PooledLift, pool


def list_due(session: Session, now: datetime) -> Sequence[str]:
    """The companies to read. Empty: today's is there, or there are too few."""
    if session.get(PooledGain, now.astimezone(UTC).date()) is not None:
        return ()
    ids = session.scalars(select(Company.id).order_by(Company.id)).all()
    return ids if len(ids) >= LEAST_COMPANIES else ()


def find_effect(session: Session, company_id: str, now: datetime) -> Effect:
    return estimate_by_number(list_strata(session, company_id, now))


def record_pooled(session: Session, effects: Sequence[Effect], now: datetime) -> None:
    pooled = pool(effects)
    if pooled is None:
        return
    values = {
        "day": now.astimezone(UTC).date(),
        "companies": pooled.companies,
        "members": pooled.members,
        "gain": pooled.gain.estimate,
        "low": pooled.gain.low,
        "high": pooled.gain.high,
        "between": pooled.between,
    }
    session.execute(insert(PooledGain).values(values).on_conflict_do_nothing())


def find_pooled(session: Session) -> PooledLift | None:
    """The newest. None: too few creators measure theirs."""
    newest = select(func.max(PooledGain.day)).scalar_subquery()
    row = session.scalar(select(PooledGain).where(PooledGain.day == newest))
    if row is None:
        return None
    gain = Interval(row.gain, row.low, row.high)
    return PooledLift(row.companies, row.members, gain, row.between)
