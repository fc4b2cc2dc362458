"""Trying poison events again, as the dashboard's button asks: a deed in the audit list, which the
daemon takes up within a minute. Only the daemon can read Whop's words; the dashboard cannot."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Deed

REPLAY = "replay"
TAKEN = "taken_at"


def ask(session: Session, company_id: str, by: str, now: datetime) -> bool:
    """False: it is asked for already, and not taken up yet."""
    if find_open(session, company_id) is not None:
        return False
    session.add(Deed(company_id=company_id, done_at=now, done_by=by, what=REPLAY))
    return True


def find_open(session: Session, company_id: str) -> datetime | None:
    """When it was asked for, while nobody has taken it up."""
    mine = select(Deed.done_at).where(Deed.company_id == company_id, Deed.what == REPLAY)
    return session.scalar(mine.where(~Deed.details.has_key(TAKEN)).limit(1))


def take(session: Session, now: datetime) -> bool:
    """Whether anybody asked. Committed together with the replay itself: a crash between leaves it
    asked for. Two daemons share the work: one of them finds nothing."""
    asked = session.scalars(
        select(Deed)
        .where(Deed.what == REPLAY, ~Deed.details.has_key(TAKEN))
        .with_for_update(skip_locked=True)
    ).all()
    for deed in asked:
        deed.details = deed.details | {TAKEN: now.isoformat()}
    return bool(asked)
