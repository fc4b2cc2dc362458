from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as some
from pydantic import SecretStr
from sqlalchemy import Engine, insert
from sqlalchemy.exc import InternalError
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from dashboard.charts.money import draw_money, group_days, narrow, render_key, sum_up
from dashboard.data import overview
from dashboard.data.overview import PaymentRow, Snapshot, read_snapshot
from dashboard.data.viewpoint import EVERY_CHANNEL
from dashboard.settings import DashboardSettings
from dashboard.text.lift import describe_lift
from dashboard.text.overview import describe_change
from dashboard.text.payments import describe_recovery
from dashboard.ui.palette import DARK, LIGHT, Palette
from dashboard.ui.table import COLUMNS, render_table
from db.company_settings import recovery as companies
from db.ledger import new_payments
from db.models import Company, Heartbeat, Sync
from db.reporting.figures import Day, Split
from db.reporting.health import find_heartbeat, find_sync
from db.reporting.next_steps import Viewpoint
from db.reporting.trends import Comparison
from db.session import now as read_clock
from recovery.declines import DeclineClass
from recovery.labels import RECOVERED_BY
from recovery.lift.comparison import Lift, NotEnoughData
from recovery.lift.groups import Effect, Group, Interval, Money
from recovery.next_step import Situation, find_next_step
from recovery.status import PaymentStatus, RecoveredBy, SyncError
from recovery.wording import DAYS, Period, format_money
from tests.factories import COMPANY, HOUR, HOURLY, NOW, fail_now, money, report, valued
from tests.pages import fresh as fresh

APP = Path(__file__).resolve().parent.parent / "dashboard" / "navigation.py"
PRICES = {
    by: {"total": money(amount), "usd_total": money(amount)}
    for by, amount in zip(RecoveredBy, ("10.00", "5.00", "2.00", "4.00"), strict=True)
}
KOLKATA = ZoneInfo("Asia/Kolkata")
HOSTILE = "<script>alert(1)</script> **x** $a$ [x](http://evil.example)"


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Callable[..., AppTest]:
    def open_page(period: str | None = None, **environment: str) -> AppTest:
        for name, value in ({"DATABASE_URL": database_url} | environment).items():
            monkeypatch.setenv(name, value)
        page = AppTest.from_file(str(APP), default_timeout=30)
        if period is not None:
            page.query_params["period"] = period
        return page.run()

    return open_page


def pay(session: Session, by: RecoveredBy, **overrides: Any) -> None:
    payment = fail_now(session, read_clock(), **overrides)
    payment.status, payment.next_retry_at = PaymentStatus.RECOVERED, None
    payment.recovered_by, payment.recovered_at = by, read_clock()
    valued(payment)
    session.add(payment)
    session.commit()


def add_another_company(session: Session) -> None:
    companies.add_companies(session, {"biz_another"})
    theirs = fail_now(session, read_clock(), user={"id": "u", "name": "Not Yours"})
    theirs.company_id = "biz_another"
    session.add(theirs)
    session.commit()


def beat(session: Session, ago: timedelta, **details: Any) -> None:
    at = read_clock()
    session.add(
        Heartbeat(
            process="daemon",
            instance="a:1",
            started_at=at,
            beat_at=at,
            last_cycle_at=at - ago,
            details=details,
        )
    )
    session.commit()


def read_all(page: AppTest) -> str:
    """Every word on the page, as HTML or Markdown."""
    assert not page.exception
    texts = [block.proto.body for block in page.get("html")]
    kinds = ("title", "header", "markdown", "caption", "error", "warning", "info", "code")
    texts += [say(element) for kind in kinds for element in page.get(kind)]
    return "\n".join(texts)


def read_plain(page: AppTest) -> str:
    """The same without the tags, each paragraph on a line of its own."""
    return re.sub("<[^>]+>", "", read_all(page).replace("</p>", "\n"))


def say(element: Any) -> str:
    return str(element.value)


def read_figures(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


# --- the page ----------------------------------------------------------------------------------


def test_it_shows_the_figures_and_who_brought_the_money(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock())
    for by in RecoveredBy:
        pay(session, by, **PRICES[by])
    beat(session, timedelta(minutes=12))
    page = open_page()
    assert page.title[0].value == "💰 Revenue Recovery Dashboard"
    assert read_figures(page) == {
        "$ Recovered This Month": "$21.00",
        "Recovery Rate %": "—",
        "Total Failed Payments": "5",
        "At Risk Now": "$49.00",
    }
    words = read_plain(page)
    assert "$10.00 by our retry\n" in words
    assert "$5.00 clicked our link, then paid\n" in words
    assert "$2.00 paid after our message\n" in words
    assert "$4.00 would have come anyway\n" in words
    assert "No payment's five days are over yet." in words.replace("&#39;", "'")
    assert "1 payment still recoverable\nFirst deadline in 4 days" in words
    assert re.search(r"Updated \d\d:\d\d:\d\d \(UTC\), refreshes every 10 seconds\.", words)
    assert not page.warning


def test_it_is_headed_by_the_company_s_name_and_never_by_its_id(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    payment = fail_now(session, read_clock())
    assert payment.company_id not in read_plain(open_page())
    st.cache_data.clear()
    companies.save_name(session, COMPANY, "Lantern <b>Academy</b>", "somebody", read_clock())
    session.commit()
    words = read_all(open_page())
    assert "Lantern &lt;b&gt;Academy&lt;/b&gt; · Updated <b>" in words


def note_sync(session: Session, **columns: Any) -> None:
    companies.add_companies(session, {COMPANY})
    session.add(Sync(company_id=COMPANY, since=NOW, **columns))
    session.commit()


def read_warnings(page: AppTest) -> list[str]:
    found = [
        block.proto.body for block in page.get("html") if 'class="warning"' in block.proto.body
    ]
    return [re.sub("<[^>]+>", "", html) for html in found]


def test_it_says_what_our_key_lacks_at_whop_and_where_to_grant_it(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    """The reading fails for the same reason: that is no second warning."""
    missing = ["member:manage", "payment:manage"]
    note_sync(
        session,
        missing_permissions=missing,
        error=SyncError.PERMISSION_MISSING,
        error_detail="missing",
    )
    (warning,) = read_warnings(open_page())
    assert "Missing: member:manage, payment:manage." in warning
    assert "Grant them to the key in Whop&#39;s developer settings" in warning


def test_it_says_that_whop_cannot_be_read_back_in_words_that_nobody_can_forge(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    note_sync(session, error=SyncError.ACCESS_DENIED, error_detail=HOSTILE)
    page = open_page()
    (html,) = [b.proto.body for b in page.get("html") if 'class="warning"' in b.proto.body]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; **x** $a$" in html
    assert "<script" not in html
    assert "Check that WHOP_API_KEY is valid" in html


def test_it_says_since_when_whop_does_not_answer_and_not_its_consequences(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    note_sync(session, error=SyncError.UNAVAILABLE, error_detail="the request timed out")
    session.get_one(Company, COMPANY).time_zone = "Asia/Kolkata"
    beat(session, timedelta(minutes=2), whop_down_since="2026-11-20T09:15:04+00:00")
    (warning,) = read_warnings(open_page())
    assert warning.startswith("Whop does not answer. No answer since 20 November, 14:45.")


def test_it_asks_the_daemon_that_was_alive_last_whether_whop_answers(session: Session) -> None:
    at = read_clock()
    for instance, ago, since in (("a:1", HOUR, at.isoformat()), ("a:2", 0 * HOUR, None)):
        beat_at, details = at - ago, {"whop_down_since": since}
        session.add(
            Heartbeat(
                process="daemon",
                instance=instance,
                started_at=at,
                beat_at=beat_at,
                details=details,
            )
        )
    session.flush()
    heartbeat = find_heartbeat(session)
    assert heartbeat is not None
    assert heartbeat.whop_down_since is None


def test_it_warns_of_nothing_while_all_is_well(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    note_sync(session)
    beat(session, timedelta(minutes=2), whop_down_since=None)
    page = open_page()
    assert (read_warnings(page), list(page.warning)) == ([], [])
    assert find_sync(session, "biz_another") is None


def test_it_says_what_our_work_adds_and_what_came_back_before(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock())
    assert 'class="finding"' not in read_all(open_page())
    st.cache_data.clear()
    ended = (read_clock() - timedelta(days=6)).isoformat()
    history = report(created_at=ended, last_payment_attempt_at=ended, updated_at=ended)
    new_payments.create_payments(session, [history], {}, read_clock(), HOURLY, imported=True)
    session.commit()
    words = read_all(open_page())
    assert "Before you installed this, 1 payment worth $49.00 failed. 0 of" in words


def test_it_says_every_figure_s_definition(open_page: Callable[..., AppTest]) -> None:
    page = open_page()
    assert [bool(metric.help) for metric in page.metric] == [True] * 4


def test_it_lists_the_newest_failures_first_and_no_more_than_it_says(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    at = read_clock()
    for age in range(overview.ROWS + 1):
        moment = (at - age * HOUR).isoformat()
        fail_now(
            session, at, last_payment_attempt_at=moment, user={"id": "u", "name": f"Member {age}!"}
        )
    words = read_all(open_page())
    places = [words.find(f"Member {age}!") for age in range(overview.ROWS)]
    assert places == sorted(places)
    assert places[0] > 0
    assert f"Member {overview.ROWS}!" not in words


def test_it_shows_zeros_and_a_first_step_while_nothing_has_failed(
    open_page: Callable[..., AppTest],
) -> None:
    page = open_page()
    assert set(read_figures(page).values()) == {"$0.00", "—", "0"}
    words = read_all(page)
    assert "No failed payments yet" in words
    assert "localhost:8000/webhook/payment_failed" in words
    assert '"payment_id": "abc123"' in words
    assert not page.get("plotly_chart")


def test_it_asks_which_company_when_it_knows_several(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock())
    add_another_company(session)
    page = open_page()
    assert "WHOP_COMPANY_ID" in page.warning[0].value
    assert not page.metric


def test_it_shows_one_company_and_nothing_of_another(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock())
    add_another_company(session)
    page = open_page(WHOP_COMPANY_ID=COMPANY)
    assert read_figures(page)["Total Failed Payments"] == "1"
    assert "Not Yours" not in read_all(page)


def test_it_says_that_the_database_is_away(open_page: Callable[..., AppTest]) -> None:
    page = open_page(DATABASE_URL="postgresql://nobody@/nothing?host=/nowhere")
    assert "does not answer" in page.error[0].value
    assert not page.metric


def test_it_says_that_the_database_is_not_migrated(
    open_page: Callable[..., AppTest], engine: Engine
) -> None:
    bare = engine.url.set(database="postgres").render_as_string(hide_password=False)
    assert "python -m db migrate" in open_page(DATABASE_URL=bare).error[0].value


def test_it_does_not_start_in_production_without_a_database(
    open_page: Callable[..., AppTest], capsys: pytest.CaptureFixture[str]
) -> None:
    page = open_page(DATABASE_URL="")
    assert "cannot start" in page.error[0].value
    assert "DATABASE_URL: missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ago", "words"),
    [(None, "Retries have not run yet."), (3 * HOUR, "Retries last ran 3 h ago.")],
)
def test_it_warns_when_the_daemon_is_silent(
    open_page: Callable[..., AppTest], session: Session, ago: timedelta | None, words: str
) -> None:
    fail_now(session, read_clock())
    if ago is not None:
        beat(session, ago)
    assert words in open_page().warning[0].value


def test_it_keeps_the_period_in_the_page_s_address(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock())
    page = open_page("6 months")
    figure = json.loads(page.get("plotly_chart")[0].proto.spec)
    assert len(figure["data"][0]["x"]) == 26
    assert page.query_params["period"] == "6 months"


def test_it_shows_the_default_period_for_an_address_that_makes_no_sense(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fail_now(session, read_clock())
    figure = json.loads(open_page("<b>").get("plotly_chart")[0].proto.spec)
    assert len(figure["data"][0]["x"]) == 30


def test_it_lets_no_word_of_a_member_reach_markdown(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    person = {"id": "u", "name": HOSTILE}
    fail_now(session, read_clock(), user=person, decline_code=None, failure_message=f"<b>{HOSTILE}")
    page = open_page()
    html = "".join(block.proto.body for block in page.get("html"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; **x** $a$ [x](http://evil.example)" in html
    assert "<script" not in html
    for kind in ("markdown", "caption", "header", "warning", "error", "info"):
        assert all("evil" not in say(element) for element in page.get(kind))


# --- reading -----------------------------------------------------------------------------------


def test_it_asks_the_database_once_for_all_viewers(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Snapshot] = []

    def read(*arguments: Any) -> Snapshot:
        reads.append(read_snapshot(*arguments))
        return reads[-1]

    monkeypatch.setattr(overview, "read_snapshot", read)
    for _ in range(20):
        assert not open_page().error
    assert 1 <= len(reads) < 20


def test_it_remembers_trouble_as_well(open_page: Callable[..., AppTest]) -> None:
    away = "postgresql://nobody@/nothing?host=/nowhere"
    first = open_page(DATABASE_URL=away).error[0].value
    assert open_page(DATABASE_URL=away).error[0].value == first


def test_it_splits_the_chart_s_money_by_who_brought_it(session: Session) -> None:
    for by in RecoveredBy:
        pay(session, by, **PRICES[by])
    snapshot = read_snapshot(session, COMPANY, Viewpoint(read_clock(), HOURLY, EVERY_CHANNEL))
    total = sum_up(snapshot.days)
    assert (total.failed, total.recovered) == (Decimal(21), tuple(map(Decimal, (10, 5, 2, 4))))


def test_it_cannot_write(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(session: Session, *_: Any) -> None:
        session.execute(insert(Company).values(id="biz_new"))

    monkeypatch.setattr(overview, "read_snapshot", write)
    with pytest.raises(InternalError, match="read-only transaction"):
        overview.take_snapshot(DashboardSettings(database_url=SecretStr(database_url)), COMPANY)


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "before", "words"), [(12, 10, "+20%"), (5, 10, "-50%"), (3, 0, "+3")]
)
def test_it_says_how_failures_changed(last: int, before: int, words: str) -> None:
    assert describe_change(Comparison(Decimal(last), Decimal(before), differs=True)) == words


NO_MONEY = Money(0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("gain", "money_gain", "words"),
    [
        ((0.14, 0.05, 0.22), None, "+14.0 points (95% interval: +5.0 to +22.0)."),
        (
            (0.14, -0.01, 0.27),
            (0.1, 0.02, 0.18),
            "+14.0 points (95% interval: -1.0 to +27.0), and +10.0 points of the "
            "money (95% interval: +2.0 to +18.0). This may still be chance.",
        ),
    ],
)
def test_it_says_how_much_our_work_adds_and_how_sure_that_is(
    gain: tuple[float, ...], money_gain: tuple[float, ...] | None, words: str
) -> None:
    by_money = Interval(*money_gain) if money_gain else None
    groups = Group(100, 88, NO_MONEY), Group(50, 37, NO_MONEY)
    effect = Effect(150, gain[0], 1.0)
    said = describe_lift(Lift(*groups, Interval(*gain), by_money, effect))
    assert said == (
        "With our help, 88% (88 of 100) of the members paid in the end; in the control group, "
        f"74% (37 of 50). Our impact: {words}"
    )


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (NotEnoughData(0, 1), "yet: it takes final results of 1 more member in the control group."),
        (NotEnoughData(2, 0), "yet: it takes final results of 2 more members with our help."),
        (
            NotEnoughData(2, 9),
            "9 more members in the control group and 2 more members with our help.",
        ),
    ],
)
def test_it_says_how_many_members_are_missing(missing: NotEnoughData, words: str) -> None:
    assert words in describe_lift(missing)


def row(**overrides: Any) -> PaymentRow:
    waiting = Situation(
        status=PaymentStatus.FAILED,
        decline_class=DeclineClass.FUNDS,
        window_ends_at=NOW + timedelta(days=5),
    )
    return PaymentRow(
        **{
            "payment_id": "pay_1",
            "member": "Jo Doe",
            "product": None,
            "amount": Decimal(49),
            "currency": "usd",
            "refunded_amount": Decimal(0),
            "disputed_amount": Decimal(0),
            "reason": "Insufficient funds",
            "decline_class": DeclineClass.FUNDS,
            "retries": 0,
            "failed_at": NOW,
            "recovered_at": None,
            "recovered_by": None,
            "next_step": find_next_step(waiting, NOW),
        }
        | overrides
    )


PAID = {"recovered_at": NOW, "recovered_by": RecoveredBy.RETRY}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (PAID, "by our retry"),
        (PAID | {"recovered_by": RecoveredBy.MEMBER}, "paid after our message"),
        (PAID | {"recovered_by": RecoveredBy.WITHOUT_US}, "would have come anyway"),
        (PAID | {"refunded_amount": Decimal(49)}, "refunded"),
        (PAID | {"refunded_amount": Decimal(9)}, "by our retry, partly refunded"),
        (PAID | {"disputed_amount": Decimal(49)}, "disputed"),
        (PAID | {"disputed_amount": Decimal(9)}, "by our retry, partly disputed"),
        (
            PAID | {"refunded_amount": Decimal(9), "disputed_amount": Decimal(20)},
            "by our retry, partly refunded and disputed",
        ),
        ({}, ""),
    ],
)
def test_it_says_how_a_payment_was_recovered(columns: dict[str, Any], words: str) -> None:
    assert describe_recovery(row(**columns)) == words


def test_it_writes_a_table_that_can_be_read_aloud() -> None:
    html = render_table([row(retries=2)], NOW, KOLKATA)
    for name in COLUMNS:
        assert f'<th role="columnheader" scope="col">{name}</th>' in html
    for cell in ("Jo Doe", "$49.00", "Insufficient funds", "Waiting for the member", "</span>2"):
        assert cell in html


@pytest.mark.parametrize("column", ["member", "product", "reason", "currency"])
def test_it_escapes_every_text_of_the_table(column: str) -> None:
    html = render_table([row(**{column: '<img src=x onerror="alert(1)">'})], NOW, KOLKATA)
    assert "<img" not in html.lower()


# --- charts ------------------------------------------------------------------------------------

AMOUNTS = some.decimals(min_value=0, max_value=10**6, places=2)


FOUR_AMOUNTS = some.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)


@some.composite
def histories(draw: some.DrawFn) -> list[Day]:
    return [
        Day(date(2026, 1, 1) + timedelta(days=n), draw(AMOUNTS), Split(*draw(FOUR_AMOUNTS)), 1)
        for n in range(draw(some.integers(1, 60)))
    ]


@given(histories(), some.integers(1, 10))
def test_it_loses_no_money_in_grouping_days(days: list[Day], per_bar: int) -> None:
    bars = group_days(days, per_bar)
    assert sum(bar.failed for bar in bars) == sum(day.failed for day in days)
    for part in range(len(RecoveredBy)):
        assert sum(bar.recovered[part] for bar in bars) == sum(
            day.recovered.parts[part] for day in days
        )


def flat_history(period: Period) -> list[Day]:
    recovered = Split(Decimal(30), Decimal(5), Decimal(15), Decimal(20))
    first = date(2026, 1, 5)
    return [Day(first + timedelta(days=n), Decimal(100), recovered, 1) for n in range(DAYS[period])]


@pytest.mark.parametrize(
    ("period", "bars", "scale"),
    [(Period.MONTH, 30, 1), (Period.QUARTER, 90, 1), (Period.HALF_YEAR, 26, 7)],
)
def test_it_draws_failed_money_behind_and_recovered_money_by_who(
    period: Period, bars: int, scale: int
) -> None:
    failed, *recovered = draw_money(flat_history(period), period).data
    assert [failed.name, *(part.name for part in recovered)] == [
        "Failed",
        *RECOVERED_BY.values(),
    ]
    assert list(failed.y) == [100.0 * scale] * bars
    for part, base, height in zip(recovered, (0, 30, 35, 50), (30, 5, 15, 20), strict=True):
        assert list(part.base) == [float(base * scale)] * bars
        assert list(part.y) == [float(height * scale)] * bars
        assert failed.width > part.width
    assert failed.customdata[0] == format_money(Decimal(100 * scale), "usd")


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2026-01-06", "2026-01-08", date(2026, 1, 6), date(2026, 1, 8)),
        ("2026-01-05 18:20:49.5868", "2026-01-08 11:00", date(2026, 1, 6), date(2026, 1, 8)),
        ("2026-01-08 11:00", "2026-01-05 18:20", date(2026, 1, 6), date(2026, 1, 8)),
        ("2026-01-05 11:00", "2026-01-05 12:00", date(2026, 1, 5), date(2026, 2, 3)),
        ("2025-01-01", "2025-02-01", date(2026, 1, 5), date(2026, 2, 3)),
    ],
)
def test_it_narrows_the_days_to_a_range_or_to_none_at_all(
    start: str, end: str, first: date, last: date
) -> None:
    days = narrow(flat_history(Period.MONTH), Period.MONTH, start, end)
    assert (days[0].day, days[-1].day) == (first, last)


def test_it_narrows_to_whole_weeks() -> None:
    days = narrow(flat_history(Period.HALF_YEAR), Period.HALF_YEAR, "2026-01-10", "2026-01-20")
    assert (days[0].day, days[-1].day) == (date(2026, 1, 12), date(2026, 1, 25))


def test_it_lets_a_finger_scroll_the_page_over_the_chart() -> None:
    days = flat_history(Period.MONTH)
    assert draw_money(days, Period.MONTH, zoom=False).layout.dragmode is False
    assert draw_money(days, Period.MONTH).layout.dragmode == "select"


def test_it_draws_an_empty_history() -> None:
    nothing = [Day(date(2026, 1, 1), Decimal(0), Split(), 0)]
    assert draw_money(nothing, Period.MONTH).layout.yaxis.range == (0, 100)


def test_it_says_the_chart_s_totals_beside_its_colours() -> None:
    key = render_key(flat_history(Period.MONTH))
    for words in (
        "Failed <b>$3,000.00",
        "Recovered by our retry <b>$900.00",
        "Paid after our message <b>$450.00",
        "Would have come anyway <b>$600.00",
    ):
        assert words in key


def find_lightness(colour: str) -> float:
    """CIE L*, 0 to 100: what is left of a colour for who sees none."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return float(116 * luminance ** (1 / 3) - 16)


@pytest.mark.parametrize(("colours", "direction"), [(LIGHT, 1), (DARK, -1)])
def test_its_colours_can_be_told_apart_by_their_lightness_alone(
    colours: Palette, direction: int
) -> None:
    tones = [*map(colours.of, RecoveredBy), colours.failed, colours.page]
    steps = [find_lightness(tone) for tone in tones]
    assert all(direction * (second - first) > 10 for first, second in itertools.pairwise(steps))


def find_contrast(one: str, other: str) -> float:
    """WCAG's, from 1 to 21."""
    luminances = [((find_lightness(colour) + 16) / 116) ** 3 for colour in (one, other)]
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_its_words_can_be_read_on_what_lies_behind_them(colours: Palette) -> None:
    pairs = [
        (ink, behind)
        for ink in (colours.ink, colours.muted, colours.accent)
        for behind in (colours.page, colours.surface)
    ] + [
        (colours.good_ink, colours.good),
        (colours.working_ink, colours.working),
        (colours.waiting_ink, colours.waiting),
        (colours.over_ink, colours.over),
    ]
    assert min(find_contrast(*pair) for pair in pairs) >= 4.5
