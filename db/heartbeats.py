"""Signs of life, one row per running process."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Heartbeat

FORGOTTEN = timedelta(days=7)
INSTANCE = f"{socket.gethostname()}:{os.getpid()}"


def beat(
    session: Session,
    process: str,
    started_at: datetime,
    now: datetime,
    *,
    last_cycle_at: datetime | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """What is not given stays as it was; each of the `details` by itself."""
    cycled = {"last_cycle_at": last_cycle_at} if last_cycle_at else {}
    row = {"process": process, "instance": INSTANCE, "started_at": started_at, "beat_at": now}
    statement = insert(Heartbeat).values(row | cycled | {"details": details or {}})
    kept = Heartbeat.details.concat(statement.excluded.details)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["process", "instance"],
            set_={"beat_at": now, "details": kept} | cycled,
        )
    )
    session.execute(
        delete(Heartbeat).where(Heartbeat.process == process, Heartbeat.beat_at < now - FORGOTTEN)
    )
