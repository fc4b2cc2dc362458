"""The audit list: what was done in the dashboard or by a command, by whom and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Deed

SHOWN = 20


def note(
    session: Session,
    company_id: str,
    by: str,
    what: str,
    payment_id: str | None,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    """In the transaction of the deed itself: neither is there without the other."""
    session.add(
        Deed(
            company_id=company_id,
            done_at=now,
            done_by=by,
            what=what,
            payment_id=payment_id,
            details=dict(details),
        )
    )


def list_deeds(
    session: Session, company_id: str, payment_id: str | None = None, limit: int = SHOWN
) -> Sequence[Deed]:
    """The newest first; of one payment, or of all."""
    query = select(Deed).where(Deed.company_id == company_id)
    if payment_id is not None:
        query = query.where(Deed.payment_id == payment_id)
    return session.scalars(query.order_by(Deed.id.desc()).limit(limit)).all()
