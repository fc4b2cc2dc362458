"""The demo's past: lived through the real code, whenever and however often it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from db.models import Payment, WebhookEvent
from recovery.retrying.context import RetryRules
from sandbox.demo.history import LATE_FAILURES, add_recent_failures, simulate_history
from sandbox.demo.live import Settings
from sandbox.state.ledger import Ledger
from sandbox.state.store import Store

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAYS = 4
HOURLY = RetryRules(policy="hourly")


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(file=tmp_path / "sandbox.sqlite", seed=3)


def count(sessions, model=Payment) -> int:
    with sessions() as session:
        return int(session.scalar(select(func.count()).select_from(model)))


@pytest.mark.parametrize("minutes", [1, 20, 59])
def test_the_last_minutes_follow_on_the_last_full_hour(sessions, settings, minutes):
    now = NOW + timedelta(minutes=minutes)
    simulate_history(sessions, settings, now, print, DAYS)
    lived = count(sessions)
    add_recent_failures(sessions, settings, now, HOURLY)
    assert lived > 0
    assert count(sessions) == lived + LATE_FAILURES


def test_after_a_pause_of_days_it_is_heard_what_happened_meanwhile(sessions, settings):
    simulate_history(sessions, settings, NOW, print, DAYS)
    heard = count(sessions, WebhookEvent)
    later = NOW + timedelta(days=3, minutes=7)
    add_recent_failures(sessions, settings, later, HOURLY)
    assert count(sessions, WebhookEvent) > heard + LATE_FAILURES
    with sessions() as session:
        received = session.scalars(select(WebhookEvent.received_at)).all()
    assert all(at <= later for at in received)
    assert any(NOW + timedelta(hours=1) < at < later - timedelta(hours=1) for at in received)


def test_it_is_lived_once_and_goes_on_where_it_was_cut_off(sessions, settings):
    said: list[str] = []

    class CutOff(Exception):
        pass

    def cut_off(text: str) -> None:
        raise CutOff

    with pytest.raises(CutOff):
        simulate_history(sessions, settings, NOW, cut_off, days=14)
    simulate_history(sessions, settings, NOW, said.append, days=14)
    whole = count(sessions)
    simulate_history(sessions, settings, NOW, said.append, days=14)
    assert count(sessions) == whole
    store = Store(settings.file)
    failed = {charge.payment_id for charge in Ledger(store).charges()}
    assert Ledger(store).paid_twice() == []
    assert whole == len(failed)
    store.close()
