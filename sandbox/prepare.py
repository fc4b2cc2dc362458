"""`python -m sandbox.prepare`: prepares the demo before `make run` starts its processes."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Mapping

from dotenv import dotenv_values

from daemon.settings import DaemonSettings
from db.company_settings.messaging import (
    DEFAULT_MESSAGING_SETTINGS,
    MessagingSettings,
    find_messaging_settings,
    save_messaging_settings,
)
from db.session import SessionFactory, connect, database_url, now, session_factory
from db.settings import load_settings
from sandbox.demo.history import add_recent_failures, simulate_history
from sandbox.demo.live import settings_from

CREATOR = "Lantern Academy"
PORTS = {3000: "the dashboard", 8000: "the receiver", 9000: "the sandbox"}


def main() -> int:
    taken = [port for port in PORTS if is_taken(port)]
    for port in taken:
        print_progress(
            f"Port {port} is in use, and {PORTS[port]} needs it. Is an earlier `make run` running?"
        )
    if taken:
        return 1
    settings = load_settings(DaemonSettings)
    sandbox = settings_from(read_environment())
    if f":{sandbox.port}/" not in settings.whop_api_url:
        print_progress(
            f"WHOP_API_URL is {settings.whop_api_url}, not the sandbox: no demo history is made."
        )
        return 0
    # Losing the last moments of an invented history in a crash is harmless, so speed comes first.
    engine = connect(
        database_url(settings), "history", {"synchronous_commit": "off"}, ask_first=False
    )
    # Many short-lived objects and few reference cycles: this is a tenth faster.
    gc.set_threshold(50_000, 20, 100)
    print_progress(
        "Preparing the demo, once: six months of failed payments, through the real code."
    )
    sessions = session_factory(engine)
    introduce(sessions, sandbox.company_id)
    simulate_history(sessions, sandbox, now(), print_progress)
    add_recent_failures(sessions, sandbox, now(), settings.rules)
    print_progress(
        "Ready. The dashboard is at http://localhost:3000, the emails at localhost:9000/mails"
    )
    return 0


def introduce(sessions: SessionFactory, company_id: str) -> None:
    """Sets the demo creator's choices. No quiet hours: people look at the demo at night too."""
    with sessions.begin() as session:
        if find_messaging_settings(session, company_id) == DEFAULT_MESSAGING_SETTINGS:
            chosen = MessagingSettings(sender_name=CREATOR, quiet_from=0, quiet_until=0)
            save_messaging_settings(session, company_id, chosen, "sandbox", now())


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_environment() -> Mapping[str, str]:
    """As the processes in Procfile.dev see it: `.env`, overridden by the real environment."""
    written = {name: value for name, value in dotenv_values(".env").items() if value}
    return written | os.environ


def print_progress(text: str) -> None:
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
