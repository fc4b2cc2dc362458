"""Two creators in one database: whatever is asked for, nothing of one is shown to the other.

Each page is drawn twice at the same moment: when the other company has nothing yet, and when it
has something in every table. Both times it must be the same to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest
import streamlit as st
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.data import health, insights, messages, overview, payments
from dashboard.data.insights import SPANS
from dashboard.settings import DashboardSettings
from dashboard.text.payment_csv import list_rows
from dashboard.views.insights import panels as insight_panels
from dashboard.views.insights.parts import Part
from dashboard.views.messages import editor
from dashboard.views.messages.page import list_classes
from dashboard.views.payments import detail
from dashboard.views.payments.filters import WHICH, read_query
from dashboard.views.settings import group as settings
from db.company_settings.recovery import add_companies
from db.models import Base
from db.reporting.cohorts import Dimension
from recovery.declines import DeclineClass
from recovery.status import RecoveredBy, Step
from recovery.wording import Period
from tests.factories import COMPANY, NOW
from tests.pages import fresh as fresh
from tests.two_companies import ANOTHER, OURS, THEIRS, fill_ours, fill_theirs

CLOCKS = (health, insights, messages, overview, payments, editor, settings, detail)
NAVIGATION = Path(dashboard.__file__).parent / "navigation.py"
SCRIPT = """
from dashboard.settings import DashboardSettings
from dashboard.views.{page} import page
from db.settings import load_settings

page.show(load_settings(DashboardSettings))
"""
LISTS: list[dict[str, str]] = [
    {},
    *({"status": which} for which in WHICH),
    *({"class": str(decline_class)} for decline_class in (DeclineClass.FUNDS, DeclineClass.CARD)),
    {"by": RecoveredBy.RETRY},
    *({"within": str(within)} for within in (Period.WEEK, Period.THIS_MONTH)),
    *({"product": product} for product in ("Gold", f"{THEIRS} Product")),
    *({"q": words} for words in (THEIRS, "theirs4", f"pay_{ANOTHER}", "pay_")),
    *({"least": amount} for amount in ("7777.77", "7777", "10")),
    {"most": "8000", "sort": "largest"},
    *({mark: f"{NOW.isoformat()}~99999"} for mark in ("after", "before")),
    *({mark: "7777.77~99999", "sort": "largest"} for mark in ("after", "before")),
]
STORIES = [{"payment": f"pay_{company}_{n}"} for company in (ANOTHER, COMPANY) for n in range(3)]
CHOICES = {
    Dimension.CLASS: "funds",
    Dimension.TRY: "2",
    Dimension.HOUR: "9",
    Dimension.WEEKDAY: "5",
    Dimension.MONTH: "2026-11",
    Dimension.PRODUCT: f"{THEIRS} Product",
    Dimension.BRAND: f"{THEIRS} Card".lower(),
    Dimension.STEP: "reminder",
}
ADDRESSES: dict[str, list[dict[str, str]]] = {
    "overview": [{"period": period} for period in ("30 days", "90 days", "6 months")],
    "payments": LISTS + STORIES,
    "insights": [
        *({"part": str(part), "span": str(Period.ALL)} for part in Part),
        *({"span": str(span)} for span in SPANS),
        *({"part": part, by: group} for part, (by, group) in zip(cycle(Part), CHOICES.items())),
    ],
    "messages": [
        {"step": step, "class": decline_class, "within": "90 days"}
        for step in Step
        for decline_class in list_classes(step)[:2]
    ],
    "settings": [{}],
    "health": [{}],
}
# Drawn anew each time: under it the browser asks for a file that is only then made.
FILE_ID = re.compile(r"deferred_file_id: .*")
Draw = Callable[..., str]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Draw:
    """All that a page sends to the browser, and the files that it offers, as text."""
    for module in CLOCKS:
        monkeypatch.setattr(module, "now", lambda: NOW)
    monkeypatch.setenv("DATABASE_URL", database_url)
    files: list[str] = []

    def to_csv(rows: list[tuple[object, ...]]) -> bytes:
        files.append(str(rows))
        return b""

    monkeypatch.setattr(insight_panels, "to_csv", to_csv)

    def draw(
        page: str, query: dict[str, str], company_id: str = COMPANY, *, anew: bool = True
    ) -> str:
        """`anew`: whatever was kept for readers before is forgotten."""
        if anew:
            st.cache_data.clear()
        files.clear()
        monkeypatch.setenv("WHOP_COMPANY_ID", company_id)
        test = AppTest.from_string(SCRIPT.format(page=page), default_timeout=30)
        for name, value in query.items():
            test.query_params[name] = value
        test.session_state["preview"] = True
        test.run()
        assert not test.exception
        sent = [str(node.proto) for node in test._tree if hasattr(node, "proto")]
        shown = "\n".join(sent + files)
        assert "does not answer" not in shown
        return FILE_ID.sub("", shown)

    return draw


def test_both_have_something_in_every_table(session: Session) -> None:
    fill_ours(session, NOW)
    fill_theirs(session, NOW)
    for table in Base.metadata.sorted_tables:
        if "company_id" in table.columns:
            query = text(f"select distinct company_id from {table.name}")
            assert set(session.scalars(query)) == {COMPANY, ANOTHER}, table.name


@pytest.mark.parametrize("page", ADDRESSES)
def test_no_address_shows_anything_of_another_company(
    draw: Draw, session: Session, page: str
) -> None:
    fill_ours(session, NOW)
    add_companies(session, {ANOTHER})
    session.commit()
    alone = [draw(page, query) for query in ADDRESSES[page]]
    fill_theirs(session, NOW)
    beside = [draw(page, query) for query in ADDRESSES[page]]
    told = zip(ADDRESSES[page], alone, beside, strict=True)
    assert [query for query, one, other in told if one != other] == []
    assert any(OURS in shown for shown in beside)
    assert any(THEIRS in draw(page, query, ANOTHER) for query in ADDRESSES[page])


@pytest.mark.parametrize("page", ADDRESSES)
def test_what_is_kept_for_the_readers_of_one_company_is_never_shown_to_another_s(
    draw: Draw, session: Session, page: str
) -> None:
    """One after the other, in both orders: the second is drawn as if there had been no first."""
    fill_ours(session, NOW)
    fill_theirs(session, NOW)
    shown: dict[tuple[int, str], str] = {}
    for order in ((COMPANY, ANOTHER), (ANOTHER, COMPANY)):
        st.cache_data.clear()
        for number, query in enumerate(ADDRESSES[page]):
            for company_id in order:
                drawn = draw(page, query, company_id, anew=False)
                assert shown.setdefault((number, company_id), drawn) == drawn, query


def test_nothing_typed_or_chosen_on_one_company_s_pages_is_left_for_another_s(
    monkeypatch: pytest.MonkeyPatch, database_url: str, session: Session
) -> None:
    """In one browser's session, which outlives a change of the company."""
    fill_ours(session, NOW)
    fill_theirs(session, NOW)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WHOP_COMPANY_ID", COMPANY)
    page = AppTest.from_file(str(NAVIGATION), default_timeout=30).run()
    page.session_state["words-reminder-subject"] = f"{OURS} draft"
    page.run()
    assert page.session_state["words-reminder-subject"] == f"{OURS} draft"
    monkeypatch.setenv("WHOP_COMPANY_ID", ANOTHER)
    page.run()
    assert "words-reminder-subject" not in page.session_state
    assert ANOTHER in "".join(block.proto.body for block in page.get("html"))


def test_no_export_holds_anything_of_another_company(
    database_url: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "now", lambda: NOW)
    fill_ours(session, NOW)
    settings = DashboardSettings(database_url=SecretStr(database_url))
    queries = [read_query(query) for query in LISTS]
    alone = [payments.export(settings, COMPANY, query, list_rows) for query in queries]
    fill_theirs(session, NOW)
    assert [payments.export(settings, COMPANY, query, list_rows) for query in queries] == alone
    theirs = [payments.export(settings, ANOTHER, query, list_rows) for query in queries]
    assert [payments.export(settings, COMPANY, query, list_rows) for query in queries] == alone
    assert THEIRS in theirs[0].decode()
    assert not any(OURS in export.decode() for export in theirs)


@pytest.mark.parametrize("page", ADDRESSES)
def test_while_no_company_is_chosen_nothing_of_either_is_shown(
    draw: Draw, session: Session, page: str
) -> None:
    fill_ours(session, NOW)
    fill_theirs(session, NOW)
    for query in ADDRESSES[page][:5]:
        shown = draw(page, query, "")
        assert "WHOP_COMPANY_ID" in shown
        assert OURS not in shown
        assert THEIRS not in shown.replace(f"{THEIRS} Product", "")
