"""Whether all is well: what the daemons last said, and what is in the way of reading back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Heartbeat, Sync


@dataclass(frozen=True, slots=True)
class SyncTrouble:
    """Why a company's payments cannot be read back from Whop, or not all about them."""

    words: str | None
    missing_permissions: tuple[str, ...]


def find_sync_trouble(session: Session, company_id: str) -> SyncTrouble | None:
    sync = session.get(Sync, company_id)
    if sync is None or not (sync.trouble or sync.missing_permissions):
        return None
    return SyncTrouble(sync.trouble, tuple(sync.missing_permissions))


def find_whop_outage(session: Session) -> datetime | None:
    """Since when Whop has not answered, as the daemon that was alive last says."""
    since = session.scalar(
        select(Heartbeat.details["whop_down_since"].astext)
        .where(Heartbeat.process == "daemon")
        .order_by(Heartbeat.beat_at.desc())
        .limit(1)
    )
    return None if since is None else datetime.fromisoformat(since)


def find_last_cycle(session: Session) -> datetime | None:
    return session.scalar(
        select(func.max(Heartbeat.last_cycle_at)).where(Heartbeat.process == "daemon")
    )
