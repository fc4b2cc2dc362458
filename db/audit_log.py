"""The audit list: what was done in the dashboard or by a command, by whom and when. It is written
and listed, and nothing waits in it: what is asked for is a request (db/ledger/requests.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AuditEntry
from recovery.status import Action

LISTED = 20
# Who acts by a command: its user on the server is nobody whom the company knows.
COMMAND = "command"
# Who acts by a page: nobody signs in yet.
DASHBOARD = "dashboard"


def record(
    session: Session,
    company_id: str,
    actor: str,
    action: Action,
    now: datetime,
    *,
    payment_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """In the transaction of the act itself: neither is there without the other."""
    session.add(
        AuditEntry(
            company_id=company_id,
            done_at=now,
            actor=actor,
            action=action,
            payment_id=payment_id,
            details=dict(details or {}),
        )
    )


def list_entries(
    session: Session, company_id: str, payment_id: str | None = None, limit: int = LISTED
) -> Sequence[AuditEntry]:
    """The newest first; of one payment, or of all."""
    query = select(AuditEntry).where(AuditEntry.company_id == company_id)
    if payment_id is not None:
        query = query.where(AuditEntry.payment_id == payment_id)
    return session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)).all()
