"""Caches the recovery settings of companies that sent events lately."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db.company_settings.recovery import RecoverySettings, load_recovery_settings

# After at most this time a creator's change applies to new payments.
GOOD_FOR = timedelta(seconds=10)


class SettingsCache:
    """Saves the hot path one query per batch. Only committed companies are cached, so that rows may
    refer to any of them."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Session]]) -> None:
        """`begin` begins a transaction."""
        self.begin = begin
        self.known: dict[str, RecoverySettings] = {}
        self.good_until: datetime | None = None

    def find(self, company_ids: set[str], now: datetime) -> Mapping[str, RecoverySettings]:
        """Settings of at least these companies. Companies that the database does not know are added
        to it."""
        if self.good_until is None or now >= self.good_until:
            self.known = {}
            self.good_until = now + GOOD_FOR
        if missing := company_ids - self.known.keys():
            with self.begin() as session:
                self.known |= load_recovery_settings(session, missing)
        return self.known

    def forget(self) -> bool:
        """Returns whether anything was cached."""
        had, self.known = bool(self.known), {}
        return had
