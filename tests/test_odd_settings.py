"""Settings that nobody could save today: they harm nobody else, and the company is told."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any
from zoneinfo import available_timezones

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.company_settings import time_zones
from db.company_settings.faults import find_setting_faults
from db.company_settings.messaging import (
    MessagingSettings,
    find_messaging_settings,
    read_messaging_settings,
)
from db.company_settings.notifications import NotificationSettings
from db.company_settings.recovery import (
    RecoverySettings,
    add_companies,
    find_recovery_settings,
    read_recovery_settings,
    save_recovery_settings,
)
from db.company_settings.time_zones import NO_PLACES, list_time_zones
from db.company_settings.validity import ChoiceError
from db.models import Company, Payment, Rollup
from db.reporting.rollup import catch_up, list_behind
from db.reporting.summary import summarize
from recovery.status import PaymentStatus
from tests.factories import COMPANY, NOW
from tests.rig import Rig

BAD_ZONES = ("localtime", "posixrules", "Factory", "", "europe/berlin", "Mars/Base", "Etc/Nowhere")
WRONG: tuple[Any, ...] = (None, True, -1, 10**30, 1.5, "?", [], {"a": 1})
GROUPS = {"messaging": MessagingSettings, "notifications": NotificationSettings}


def list_odd_settings() -> list[dict[str, Any]]:
    """Every setting with every kind of value, and whatever may stand in place of a group."""
    odd: list[dict[str, Any]] = [
        {name: value} for name in ("holdout_percent", "backup_card") for value in WRONG
    ]
    odd += [{group: value} for group in GROUPS for value in WRONG]
    for group, kind in GROUPS.items():
        names = [field.name for field in fields(kind)]
        odd += [{group: {name: value}} for name in names for value in WRONG]
    odd += [{"notifications": {"on_recovery": True, "recoveries_since": at}} for at in WRONG]
    odd += [{"notifications": {"recoveries_since": "2026-11-01"}}]
    return odd


def spoil(session: Session, company_id: str, zone: str, settings: Any = None) -> None:
    add_companies(session, {company_id})
    company = session.get_one(Company, company_id)
    company.time_zone, company.settings = zone, {} if settings is None else settings
    session.commit()


# --- which names are time zones -----------------------------------------------------------------


def test_what_is_offered_is_known_to_python_and_to_the_database(session: Session) -> None:
    offered = list_time_zones(session)
    names = set(session.scalars(text("select name from pg_timezone_names")))
    assert offered == available_timezones() & names - NO_PLACES
    assert {"UTC", "Europe/Berlin", "America/New_York"} < offered


@pytest.mark.parametrize("zone", BAD_ZONES)
def test_a_name_that_is_no_time_zone_is_never_kept(session: Session, zone: str) -> None:
    with pytest.raises(ChoiceError, match="not a time zone"):
        save_recovery_settings(session, COMPANY, RecoverySettings(zone), "somebody", NOW)
    assert find_recovery_settings(session, COMPANY) == RecoverySettings()


def test_a_zone_that_only_python_knows_is_refused_in_words(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(monkeypatch, session, "Europe/Kyiv")
    with pytest.raises(ChoiceError, match="the database does not know the time zone Europe/Kyiv"):
        save_recovery_settings(session, COMPANY, RecoverySettings("Europe/Kyiv"), "somebody", NOW)


def forget(monkeypatch: pytest.MonkeyPatch, session: Session, zone: str) -> None:
    """As an older server would."""
    left = list_time_zones(session) - {zone}
    monkeypatch.setitem(time_zones.known, session.get_bind().engine.url, left)


def test_a_zone_that_the_database_no_longer_knows_counts_as_utc_and_is_told(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(session, COMPANY, "Europe/Kyiv")
    forget(monkeypatch, session, "Europe/Kyiv")
    assert find_recovery_settings(session, COMPANY).time_zone == "UTC"
    fault = find_setting_faults(session, COMPANY)["time_zone"]
    assert "Europe/Kyiv" in fault
    assert "not used" in fault


# --- what has been saved all the same -----------------------------------------------------------


@pytest.mark.parametrize("zone", BAD_ZONES)
def test_a_bad_zone_stops_nobody_s_sums(session: Session, zone: str) -> None:
    spoil(session, COMPANY, zone)
    spoil(session, "biz_fine", "Asia/Tokyo")
    assert list_behind(session, NOW) == [COMPANY, "biz_fine"]
    for company_id in ("biz_fine", COMPANY):
        catch_up(session, company_id, NOW)
        summarize(session, company_id, NOW)
    rows = session.execute(select(Rollup.company_id, Rollup.time_zone))
    assert set(map(tuple, rows)) == {("biz_fine", "Asia/Tokyo"), (COMPANY, "UTC")}
    assert list_behind(session, NOW) == []


def test_whatever_is_saved_what_counts_could_be_saved() -> None:
    for saved in list_odd_settings():
        recovery, _ = read_recovery_settings("UTC", saved, {"UTC"})
        messaging, _ = read_messaging_settings(saved)
        recovery.check()
        messaging.check()


@pytest.mark.parametrize("value", [None, 1, "on", []])
def test_in_doubt_whether_members_may_be_written_to_nobody_is(
    session: Session, value: object
) -> None:
    spoil(session, COMPANY, "UTC", {"messaging": {"enabled": value}})
    assert not find_messaging_settings(session, COMPANY).enabled
    assert "enabled" in find_setting_faults(session, COMPANY)


def test_one_company_s_odd_settings_end_nobody_s_work(
    sessions: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A company for each odd setting, and one that chose well: all of them are worked on."""
    caplog.set_level(logging.ERROR)
    rig = Rig(sessions, tmp_path)
    odd: list[tuple[str, Any]] = [(zone, {}) for zone in BAD_ZONES]
    odd += [("UTC", settings) for settings in list_odd_settings()[::9]]
    companies = [f"biz_odd{number:03}" for number in range(len(odd))]
    with sessions() as session:
        for company_id, (zone, settings) in zip(companies, odd, strict=True):
            spoil(session, company_id, zone, settings)
    failed = [rig.fail(account_id=company_id) for company_id in [COMPANY, *companies]]
    for _ in range(2):
        rig.run()
        rig.reconciler.run()
        rig.message_sender.send_due()
        rig.notifier.notify_due()
    assert [record.getMessage() for record in caplog.records] == []
    with sessions() as session:
        found = session.scalars(select(Payment).where(Payment.payment_id.in_(failed)))
        assert {payment.status for payment in found} == {PaymentStatus.RECOVERED}
        assert list_behind(session, rig.clock.now) == []
        assert set(companies) < set(session.scalars(select(Rollup.company_id)))
