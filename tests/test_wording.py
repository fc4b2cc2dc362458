"""Counts, shares, spans and periods: recovery/wording.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from recovery.wording import (
    DAYS,
    FEW,
    Period,
    count,
    find_start,
    format_percent,
    format_share,
    format_span,
    name_brand,
)

BERLIN = ZoneInfo("Europe/Berlin")


def test_one_is_one_and_more_are_many() -> None:
    assert count(1, "payment") == "1 payment"
    assert count(0, "payment") == "0 payments"
    assert count(2000, "address", "addresses") == "2,000 addresses"


def test_a_share_is_a_percentage_with_its_numbers() -> None:
    assert format_share(61, 98) == "62% (61 of 98)"
    assert format_share(1_234, 2_000) == "62% (1,234 of 2,000)"


def test_a_share_of_few_is_only_its_numbers() -> None:
    assert format_share(3, 7) == "3 of 7"
    assert format_share(FEW - 1, FEW - 1) == "19 of 19"
    assert format_share(FEW, FEW) == "100% (20 of 20)"
    assert format_share(0, 0) == "none yet"


def test_all_and_none_are_never_said_of_almost_all_and_almost_none() -> None:
    assert format_percent(0, 1000) == "0%"
    assert format_percent(1, 1000) == "<1%"
    assert format_percent(999, 1000) == ">99%"
    assert format_percent(1000, 1000) == "100%"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
    ],
)
def test_a_span_has_one_unit(seconds: int, words: str) -> None:
    assert format_span(timedelta(seconds=seconds)) == words


def test_thirty_days_are_calendar_days_in_the_companys_zone_today_included() -> None:
    just_past_midnight = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)  # the 27th in Berlin
    start = find_start(Period.MONTH, just_past_midnight, BERLIN)
    # The clocks changed in between: midnight was at another hour of UTC's.
    assert start == datetime(2026, 10, 28, 23, tzinfo=UTC)
    assert find_start(Period.WEEK, just_past_midnight, ZoneInfo("UTC")) == datetime(
        2026, 11, 20, tzinfo=UTC
    )


def test_this_month_begins_with_its_first_and_all_time_never() -> None:
    now = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)  # December in Berlin
    assert find_start(Period.THIS_MONTH, now, BERLIN) == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert find_start(Period.ALL, now, BERLIN) is None


def test_a_period_has_one_name() -> None:
    assert Period.MONTH.label == "Last 30 days"
    assert Period.HALF_YEAR.label == "Last 6 months"
    assert Period.THIS_MONTH.label == "This month"
    assert Period.ALL.label == "All time"
    assert len({period.label for period in Period}) == len(Period)
    assert set(DAYS) | {Period.THIS_MONTH, Period.ALL} == set(Period)


def test_a_card_has_its_brand_s_own_name() -> None:
    names = {brand: name_brand(brand) for brand in ("visa", "amex", "JCB", "unionpay", "unknown")}
    assert list(names.values()) == ["Visa", "American Express", "JCB", "UnionPay", "Unknown"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (172800, "2 days")],
)
def test_it_says_a_span_in_one_unit(seconds: int, words: str) -> None:
    assert format_span(timedelta(seconds=seconds)) == words
