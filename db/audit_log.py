"""The audit log: what was done in the dashboard or by a command, by whom and when.

It is only a record: work to be done is a request (db/ledger/requests.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AuditEntry
from recovery.status import Action

LISTED = 20
# The actor of every command: the company does not know the server's users.
COMMAND = "command"
# The actor of every page: nobody signs in yet.
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
    """Adds an entry in the transaction of the act itself, so neither exists without the other."""
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
    """The newest first, about one payment or about all."""
    query = select(AuditEntry).where(AuditEntry.company_id == company_id)
    if payment_id is not None:
        query = query.where(AuditEntry.payment_id == payment_id)
    return session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)).all()
