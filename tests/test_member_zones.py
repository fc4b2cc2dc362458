"""Where a member lives, by the country that Whop tells: charges are made by day there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from db.ledger.payment_reports import apply_report
from recovery.retrying.context import RetryRules
from recovery.retrying.member_zones import ZONES, find_zone
from tests.factories import NOW, fail_now, iso, report
from whop.values import country

HOUR = timedelta(hours=1)


def test_every_zone_exists_and_every_country_has_two_letters():
    assert len(ZONES) > 240
    assert all(ZoneInfo(zone).key == zone for zone in ZONES.values())
    assert all(name.isupper() and len(name) == 2 for name in ZONES)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("DE", "Europe/Berlin"),
        ("de", "Europe/Berlin"),
        ("US", "America/Chicago"),
        ("XX", None),
        ("", None),
        (None, None),
    ],
)
def test_a_country_gives_a_zone_where_it_is_known(name, zone):
    assert find_zone(name) == zone


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ({"country": "NP"}, "NP"),
        ({"country": "np"}, "NP"),
        ({"country": "Nepal"}, None),
        ({"country": 12}, None),
        ({"country": None}, None),
        ({}, None),
    ],
)
def test_a_country_is_two_letters(address, told):
    assert country(address) == told


@pytest.mark.parametrize("told", ["AU", "BR", "IN", "JP", None])
def test_a_member_is_charged_by_day_where_they_live_else_where_the_company_is(session, told):
    """The failure is at any hour of the day."""
    for hour in range(0, 24, 5):
        failed_at = datetime(2026, 11, 10, hour, tzinfo=UTC)
        payment = fail_now(
            session,
            failed_at,
            rules=RetryRules(),
            id=f"pay_{told}_{hour}",
            billing_address={"country": told} if told else None,
            decline_code="generic_decline",
        )
        assert payment.country == told
        assert payment.next_retry_at is not None
        local = payment.next_retry_at.astimezone(ZoneInfo(find_zone(told) or "UTC"))
        assert 8 <= local.hour < 21


def test_a_later_report_corrects_the_country_and_one_without_keeps_it(session):
    payment = fail_now(session, NOW, rules=RetryRules(), billing_address={"country": "GB"})
    for hours, told in ((1, None), (2, "FR")):
        at = iso(NOW + hours * HOUR)
        heard = report(updated_at=at, billing_address=told and {"country": told})
        heard.observed_at = NOW + hours * HOUR
        apply_report(session, payment, heard, NOW + hours * HOUR, RetryRules())
        assert payment.country == (told or "GB")
