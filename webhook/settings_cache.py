"""The terms of the companies that were heard from lately."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from db.company_settings.recovery import RecoverySettings, load_recovery_settings
from db.session import SessionFactory

# A creator's choice holds for new payments after this time at the latest.
GOOD_FOR = timedelta(seconds=10)


class SettingsCache:
    """Asking with each batch would cost the hot path a round trip. Only what is committed is kept:
    every company in it can be referred to."""

    def __init__(self, sessions: SessionFactory) -> None:
        self.sessions = sessions
        self.known: dict[str, RecoverySettings] = {}
        self.good_until: datetime | None = None

    def find(self, company_ids: set[str], now: datetime) -> Mapping[str, RecoverySettings]:
        """Of these companies at least; the unknown ones are added."""
        if self.good_until is None or now >= self.good_until:
            self.known = {}
            self.good_until = now + GOOD_FOR
        if missing := company_ids - self.known.keys():
            with self.sessions.begin() as session:
                self.known |= load_recovery_settings(session, missing)
        return self.known

    def forget(self) -> bool:
        """Whether there was anything to forget."""
        had, self.known = bool(self.known), {}
        return had
