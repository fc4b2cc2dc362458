"""What the receiver, the daemon and the dashboard make of the database behind one address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from daemon.loop import Loop
from daemon.process import Daemon
from daemon.settings import DaemonSettings
from dashboard.data import database
from dashboard.data.database import Unavailable
from dashboard.settings import DashboardSettings
from db.session import connect
from tests.factories import NOW, event
from tests.test_receiver import Receiver, make_settings
from webhook.app import create_app


class Reach:
    """Each opens the database as its own process does, once: nothing is ever restarted."""

    def __init__(self, url: URL) -> None:
        shown = url.render_as_string(hide_password=False)
        self.engines = [
            connect(url, "webhook"),
            connect(url, "webhook-inbox", ask_first=False, pool_size=1),
        ]
        app = create_app(make_settings(), self.engines[0], lambda: NOW, self.engines[1])
        self.receiver = Receiver(app)
        self.daemon = Daemon(
            DaemonSettings(_env_file=None, environment="development", database_url=shown)
        )
        self.dashboard = DashboardSettings(_env_file=None, database_url=SecretStr(shown))

    def close(self) -> None:
        self.receiver.stop()
        self.daemon.whop.wire.http.close()
        for engine in (*self.engines, self.daemon.engine):
            engine.dispose()

    def deliver(self) -> tuple[int, str]:
        answer = self.receiver.deliver(event())
        return answer.status_code, answer.json().get("detail", "")

    def get(self, path: str) -> tuple[int, str]:
        answer = self.receiver.get(path)
        return answer.status_code, answer.json().get("detail", "")

    def beat(self) -> bool:
        """Whether the daemon's job was done. If not, it is tried again in a minute."""
        loop = Loop((60, self.daemon.beat), check=self.daemon.check_schema)
        loop.scheduler.run_all()
        return len(loop.scheduler.jobs) == 1

    def read(self) -> int | Unavailable:
        return database.read(self.dashboard, lambda session: session.scalar(COUNT) or 0)

    def write(self) -> int | Unavailable:
        return database.write(self.dashboard, rename_companies)

    def serves(self) -> set[str]:
        """Which parts do their work."""
        parts = {
            "delivery": lambda: self.deliver()[0] == 200,
            "figures": lambda: self.get("/stats/summary")[0] == 200,
            "readiness": lambda: self.get("/readyz")[0] == 200,
            "daemon": self.beat,
            "reading": lambda: not isinstance(self.read(), Unavailable),
            "writing": lambda: not isinstance(self.write(), Unavailable),
        }
        return {name for name, works in parts.items() if works()}


def rename_companies(session: Session) -> int:
    """How many there are."""
    found = session.scalars(text("update companies set name = id returning name")).all()
    return len(found)


COUNT = text("select count(*) from webhook_events")
EVERYTHING = {"delivery", "figures", "readiness", "daemon", "reading", "writing"}


@contextmanager
def reaching(url: URL) -> Iterator[Reach]:
    reach = Reach(url)
    try:
        yield reach
    finally:
        reach.close()
        st.cache_resource.clear()
