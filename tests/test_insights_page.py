"""The insights and the health page without a browser; their charts and their words."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from dashboard.charts.bars import Bar
from dashboard.charts.columns import draw_columns
from dashboard.charts.curve import cumulate, draw_curve
from dashboard.charts.shares import draw_shares
from dashboard.data import database, insights
from dashboard.data.csv_export import to_csv
from dashboard.data.database import Unavailable
from dashboard.data.health import read_health
from dashboard.data.insights import CompanyInfo, Curve, find_company_info
from dashboard.text.groups import name_group
from dashboard.text.insights import describe_extremes
from dashboard.ui.palette import DARK, LIGHT
from dashboard.views.health.page import render_level
from dashboard.views.insights import page as insights_view
from dashboard.views.insights.panels import PARTS, escape_markdown
from db.company_settings.recovery import add_companies
from db.models import AuditEntry, WebhookEvent
from db.reporting.chance import Estimate
from db.reporting.cohorts import Dimension
from db.reporting.figures import NO_MONEY
from db.reporting.groups import Counts, Group
from db.reporting.insights import Hour
from db.session import now
from recovery.health import Level
from recovery.labels import MESSAGES, REASONS
from recovery.status import PaymentStatus, RecoveredBy
from tests.factories import COMPANY, HOUR, fail_now, failing_at, valued

DAY = 24 * HOUR
HOSTILE = "<b>=1+1</b> **x** $a$ [x](http://evil.example)"


def insights_page() -> None:
    from dashboard.settings import DashboardSettings
    from dashboard.views.insights import page as insights
    from db.settings import load_settings

    insights.show(load_settings(DashboardSettings))


def health_page() -> None:
    from dashboard.settings import DashboardSettings
    from dashboard.views.health import page as health
    from db.settings import load_settings

    health.show(load_settings(DashboardSettings))


@pytest.fixture
def open_page(
    monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Any
) -> Iterator[Callable[..., AppTest]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(database, "configure_logging", lambda level, style: None)
    engines = []
    connect = database.connect  # type: ignore[attr-defined]  # as the page finds it

    def remember(*arguments: Any, **options: Any) -> Any:
        engines.append(connect(*arguments, **options))
        return engines[-1]

    monkeypatch.setattr(database, "connect", remember)

    def open_page(script: Callable[[], None], url: str = database_url, **query: str) -> AppTest:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("WHOP_COMPANY_ID", COMPANY)
        page = AppTest.from_function(script, default_timeout=30)
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    yield open_page
    st.cache_data.clear()
    st.cache_resource.clear()
    for engine in engines:
        engine.dispose()


members = itertools.count(1)


def close(session: Session, paid: bool, age: timedelta = 6 * DAY, **overrides: Any) -> None:
    """A payment whose five days are over, of a member of its own."""
    at, number = now() - age, next(members)
    owner = {
        "user": {"id": f"user_{number}", "name": "Jo Doe"},
        "member_id": f"mber_{number}",
        "membership_id": f"mem_{number}",
    }
    payment = fail_now(session, at, **owner | failing_at(at) | overrides)
    payment.next_retry_at = None
    payment.status = PaymentStatus.RECOVERED if paid else PaymentStatus.PERMANENT_FAIL
    payment.recovered_by = RecoveredBy.MEMBER if paid else None
    payment.recovered_at = at + HOUR if paid else None
    session.add(valued(payment))
    session.commit()


def fill(session: Session) -> None:
    for number in range(20):
        close(session, number < 10, product={"id": "p", "title": "Gold"})
    for number in range(20):
        close(session, number < 15, decline_code="expired_card", failure_message=None)
    fail_now(session, now())


def read_html(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(block.proto.body for block in page.get("html"))


def read_charts(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


# --- insights ----------------------------------------------------------------------------------


def test_it_says_in_words_what_each_chart_shows(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fill(session)
    page = open_page(insights_page)
    words = read_html(page)
    assert "Last 90 days: 40 failed payments with a final result, 25 (63%) recovered, " in words
    newer = "1 payment failed in the last five days and is not counted below: "
    assert f"{newer}0 recovered, 0 not recovered, 1 open." in words
    assert "The reasons differ no more than chance explains. " in words
    assert len(read_charts(page)) == 2


@pytest.mark.parametrize(
    ("part", "charts"),
    [("Time", 4), ("Products and cards", 2), ("Messages", 0), ("Our impact", 0)],
)
def test_it_computes_only_the_part_that_is_looked_at(
    open_page: Callable[..., AppTest], session: Session, part: str, charts: int
) -> None:
    fill(session)
    page = open_page(insights_page, part=part)
    assert page.query_params["part"] == part
    assert len(read_charts(page)) == charts
    assert not page.exception


def test_a_choice_in_the_address_narrows_the_others_and_its_chip_takes_it_back(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fill(session)
    page = open_page(insights_page, **{"class": "card"})
    assert ": 20 failed payments" in read_html(page)
    reasons = read_charts(page)[0]
    assert len(reasons["data"][0]["y"]) == 2  # its own chart still shows all
    (chip,) = [button for button in page.button if "Reason" in button.label]
    assert "Card problem" in chip.label
    chip.click().run()
    assert "class" not in page.query_params
    assert ": 40 failed payments" in read_html(page)


def test_nothing_from_an_address_reaches_markdown_or_breaks_the_page(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    fill(session)
    page = open_page(insights_page, product=HOSTILE, brand="a\0b", hour="99", month="2026-13")
    words = read_html(page)
    assert "No failed payments here." in words
    labels = [button.label for button in page.button]
    assert any(r"\[x\]\(http\:\/\/evil\.example\)" in label for label in labels)
    assert not any("Card" in label for label in labels)


def test_it_shows_another_period_by_its_address(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    close(session, True, age=50 * DAY)
    assert "Last 30 days:" not in read_html(open_page(insights_page, span="90 days"))
    assert "No failed payments here." in read_html(open_page(insights_page, span="30 days"))
    assert "All time: 1 failed payment with" in read_html(open_page(insights_page, span="all time"))


@pytest.mark.parametrize("script", [insights_page, health_page])
def test_it_says_that_the_database_is_away_and_keeps_that_for_seconds_only(
    open_page: Callable[..., AppTest], session: Session, script: Callable[[], None]
) -> None:
    away = "postgresql://nobody@/nothing?host=/nowhere"
    assert "does not answer" in open_page(script, url=away).error[0].value
    # What is kept for five seconds goes; what is kept for five minutes stays.
    find_company_info.clear()
    read_health.clear()
    st.cache_resource.clear()
    assert not open_page(script).error


def test_a_figure_that_could_not_be_read_is_not_kept(
    open_page: Callable[..., AppTest], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(session)
    with monkeypatch.context() as broken:
        broken.setattr(insights, "read", lambda settings, what: Unavailable.AWAY)
        whose = CompanyInfo(COMPANY, "UTC", now())
        broken.setattr(insights_view, "find_company_info", lambda settings, company_id: whose)
        assert "does not answer" in open_page(insights_page).error[0].value
    assert ": 40 failed payments" in read_html(open_page(insights_page))


# --- words and charts --------------------------------------------------------------------------


def group(key: str, closed: int, recovered: int) -> Group:
    return Group(key, closed, Counts(recovered, 0, 0, 0), 0, 0, 0, NO_MONEY, NO_MONEY, 0)


def test_it_compares_no_small_groups() -> None:
    for groups in ([], [group("funds", 19, 19)], [group("funds", 20, 8), group("card", 19, 19)]):
        assert describe_extremes(groups, Dimension.CLASS) == (
            "Not enough data to compare reasons yet: that takes two with 20 payments with a final "
            "result."
        )


def test_it_names_a_group_only_where_chance_does_not_explain_it() -> None:
    alike = [group("funds", 100, 45), group("issuer", 80, 28)]
    assert describe_extremes(alike, Dimension.CLASS) == (
        "The reasons differ no more than chance explains. All together: 41% (73 of 180)."
    )
    apart = [group("funds", 200, 120), group("issuer", 180, 28), group("card", 5, 5)]
    assert describe_extremes(apart, Dimension.CLASS) == (
        "Recovered more often: “Insufficient funds”, likely 53% to 66%. Less often: "
        "“Declined by the bank”, likely 11% to 22%. All together: 40% (153 of 385)."
    )


def test_every_class_and_step_has_a_name() -> None:
    for decline_class, label in REASONS.items():
        assert name_group(Dimension.CLASS, decline_class) == label
    for step, label in MESSAGES.items():
        assert name_group(Dimension.STEP, step) == label
    assert name_group(Dimension.WEEKDAY, "1") == "Monday"
    assert name_group(Dimension.HOUR, "7") == "07:00"
    assert name_group(Dimension.MONTH, "2026-10") == "Oct 2026"
    for dimension in Dimension:
        assert name_group(dimension, "nonsense").lower() == "nonsense"


def test_it_draws_a_share_where_there_are_enough_and_words_alone_where_not() -> None:
    likely = Estimate(0.6, 0.4, 0.75)
    bars = [Bar("a", "<i>A</i>", 20, (4, 0, 6, 2), likely=likely), Bar("b", "B", 19, (19, 0, 0, 0))]
    figure = draw_shares(bars, LIGHT, PARTS, chosen="a")
    *drawn, reach = figure.data
    widths = [tuple(trace.x) for trace in drawn]
    nothing, rest = (0.0, 0.0), (pytest.approx(0.4), 0.0)
    assert widths == [(0.2, 0.0), nothing, (0.3, 0.0), (0.1, 0.0), rest, (0.0, 1.0)]
    assert (tuple(reach.x), tuple(reach.y)) == ((0.6,), (0,))
    assert tuple(reach.error_x.array) == pytest.approx((0.15,))
    assert tuple(reach.error_x.arrayminus) == pytest.approx((0.2,))
    words = [note.text for note in figure.layout.annotations]
    assert words == ["<b>✓ &lt;i&gt;A&lt;/i&gt;</b>", "60% (12 of 20)", "B", "19 of 19"]
    assert {tuple(trace.marker.opacity) for trace in drawn} == {(1.0, 0.35)}


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_who_brought_the_money_is_told_by_pattern_as_well_as_by_colour(colours: Any) -> None:
    *drawn, _ = draw_columns([Bar("a", "A", 20, (5, 1, 4, 5), 3)], colours, PARTS).data
    patterns = {trace.name: trace.marker.pattern.shape for trace in drawn}
    assert len({patterns[name] for name in PARTS}) == len(RecoveredBy)
    assert [trace.base for trace in drawn[1:]] == [(0,), (5,), (6,), (10,), (20,)]
    figure = draw_columns([Bar("a", "A", 20, (5, 1, 4, 5), 3)], colours, PARTS)
    assert figure.layout.paper_bgcolor == colours.page


def test_the_curve_counts_what_came_back_in_less_than_each_hour() -> None:
    curve = Curve(
        20,
        (
            Hour(0, Counts(1, 0, 0, 0)),
            Hour(23, Counts(0, 0, 4, 0)),
            Hour(120, Counts(0, 0, 0, 5)),
        ),
    )
    points = cumulate(curve)
    assert len(points) == 121
    assert [sum(points[hour]) for hour in (0, 1, 23, 24, 120)] == [0, 1, 1, 5, 5]
    retry, _, member, _ = draw_curve(curve, LIGHT, PARTS).data
    assert (retry.y[120], member.y[120]) == (5.0, 20.0)  # percent


def test_a_csv_runs_no_formula_and_keeps_its_numbers() -> None:
    given = [("name", "n"), ("=1+1", -5), ("@x", 2), ("\tx", 3), ("-1", 4), ("plain", 5)]
    read = list(csv.reader(io.StringIO(to_csv(given).decode("utf-8-sig"))))
    assert [row[0] for row in read] == ["name", "'=1+1", "'@x", "'\tx", "'-1", "plain"]
    assert read[1][1] == "-5"


def test_a_label_is_no_markdown() -> None:
    assert escape_markdown("**a**\n:red[b] $c$") == r"\*\*a\*\* \:red\[b\] \$c\$"


# --- health ------------------------------------------------------------------------------------


def add_poison(session: Session) -> None:
    add_companies(session, {COMPANY})
    session.add(
        WebhookEvent(
            event_id="msg_1",
            type="payment.failed",
            company_id=COMPANY,
            payload={},
            received_at=now(),
            error=f"no amount {HOSTILE}",
        )
    )
    session.commit()


def test_it_says_how_each_part_stands_and_what_to_do(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    add_companies(session, {COMPANY})
    session.commit()
    page = open_page(health_page)
    words = read_html(page)
    assert "Something needs fixing." in words
    assert "Start it: python -m daemon." in words
    assert "Version 0.1.0, database revision" in words
    assert not page.button


def test_a_replay_is_asked_for_by_a_click_and_said_to_be(
    open_page: Callable[..., AppTest], session: Session
) -> None:
    add_poison(session)
    page = open_page(health_page)
    assert "no amount &lt;b&gt;=1+1&lt;/b&gt; **x**" in read_html(page)
    (button,) = page.button
    assert button.label == "Replay 1 event"
    button.click().run()
    assert "Replay requested " in read_html(page)
    assert not page.button
    assert [entry.action for entry in session.scalars(select(AuditEntry))] == ["replay_events"]


def test_each_state_of_health_has_a_word_and_a_mark_of_its_own() -> None:
    shown = [re.sub("<[^>]+>", "", render_level(level)) for level in Level]
    marks, words = zip(*(text.split(" ", 1) for text in shown), strict=True)
    assert len(set(marks)) == len(set(words)) == len(Level)
