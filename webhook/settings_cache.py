"""Caches the recovery settings of companies that sent events lately."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from db.company_settings.recovery import RecoverySettings, load_recovery_settings
from db.session import SessionFactory

# After at most this time a creator's change applies to new payments.
GOOD_FOR = timedelta(seconds=10)


class SettingsCache:
    """Saves the hot path one query per batch. Only committed companies are cached, so that rows may
    refer to any of them."""

    def __init__(self, sessions: SessionFactory) -> None:
        self.sessions = sessions
        self.known: dict[str, RecoverySettings] = {}
        self.good_until: datetime | None = None

    def find(self, company_ids: set[str], now: datetime) -> Mapping[str, RecoverySettings]:
        """Settings of at least these companies. Companies that the database does not know are added
        to it."""
        if self.good_until is None or now >= self.good_until:
            self.known = {}
            self.good_until = now + GOOD_FOR
        if missing := company_ids - self.known.keys():
            with self.sessions.begin() as session:
                self.known |= load_recovery_settings(session, missing)
        return self.known

    def forget(self) -> bool:
        """Returns whether anything was cached."""
        had, self.known = bool(self.known), {}
        return had
