"""Heartbeats: one row per running process, with the details that a daemon reports.

Daemons of two versions run side by side for a while, so `details` may lack keys or have others.
Only this module knows the keys.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Heartbeat
from recovery.health import CycleReport

KEPT_FOR = timedelta(days=7)
INSTANCE = f"{socket.gethostname()}:{os.getpid()}"
OUTAGE = "whop_down_since"
COUNTS = tuple(field.name for field in fields(CycleReport))


def beat(
    session: Session,
    process: str,
    started_at: datetime,
    now: datetime,
    whop_down_since: datetime | None = None,
    report: CycleReport | None = None,
) -> None:
    """`report`: of the cycle that ends `now`. None: the last cycle's report is kept."""
    details = write_details(whop_down_since, report)
    cycled = {"last_cycle_at": now} if report else {}
    row = {"process": process, "instance": INSTANCE, "started_at": started_at, "beat_at": now}
    statement = insert(Heartbeat).values(row | cycled | {"details": details})
    kept = Heartbeat.details.concat(statement.excluded.details)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["process", "instance"],
            set_={"beat_at": now, "details": kept} | cycled,
        )
    )
    session.execute(
        delete(Heartbeat).where(Heartbeat.process == process, Heartbeat.beat_at < now - KEPT_FOR)
    )


def write_details(whop_down_since: datetime | None, report: CycleReport | None) -> dict[str, Any]:
    down = whop_down_since.isoformat() if whop_down_since else None
    return {OUTAGE: down} | (asdict(report) if report else {})


def read_report(details: Mapping[str, Any]) -> CycleReport | None:
    """None: no cycle has ended yet."""
    counts = {name: details[name] for name in COUNTS if type(details.get(name)) is int}
    return CycleReport(**counts) if counts else None


def read_outage(details: Mapping[str, Any]) -> datetime | None:
    """Since when Whop has not answered. None: it answers, or `details` has no readable time."""
    try:
        since = datetime.fromisoformat(details.get(OUTAGE) or "")
    except (TypeError, ValueError):
        return None
    return since if since.tzinfo else None
