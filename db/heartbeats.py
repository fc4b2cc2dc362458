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
    """What is not given stays as it was."""
    said = {"last_cycle_at": last_cycle_at, "details": details}
    values = {"beat_at": now} | {name: value for name, value in said.items() if value is not None}
    row = {"process": process, "instance": INSTANCE, "started_at": started_at} | values
    session.execute(
        insert(Heartbeat)
        .values(row)
        .on_conflict_do_update(index_elements=["process", "instance"], set_=values)
    )
    session.execute(
        delete(Heartbeat).where(Heartbeat.process == process, Heartbeat.beat_at < now - FORGOTTEN)
    )
