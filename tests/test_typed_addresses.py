"""Whatever somebody types into an address, there is a page, or an answer in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from dashboard.data.payments import narrow, read_listing
from dashboard.ui.links import address, clean_address
from dashboard.views.insights.panels import choose_filters
from dashboard.views.messages.page import read_selection
from dashboard.views.payments.filters import NAMES, read_query, store_filters, write_value
from db.reporting import payment_detail, search
from db.reporting.cohorts import Cohort, Dimension, select_cohort
from db.reporting.next_steps import Viewpoint
from db.reporting.summary import find_time_zone
from recovery.retrying.context import RetryRules
from recovery.status import Channel
from tests.factories import COMPANY, NOW, add_payment
from tests.pages import fresh as fresh
from tests.soak import at_length
from tests.test_receiver import Receiver
from tests.test_receiver import receiver as receiver
from tests.test_two_companies import ADDRESSES, SCRIPT

VIEW = Viewpoint(NOW, RetryRules(), frozenset(Channel))
# Of every page, and one that no page has.
PARAMETERS = (
    *NAMES,
    *(dimension.value for dimension in Dimension),
    "payment",
    "after",
    "before",
    "step",
    "class",
    "within",
    "span",
    "part",
    "period",
    "of_another_page",
)
ODD = (
    "",
    "\0",
    "\ud800",
    "a\udfffb",
    "%",
    "_\\",
    "' or 1=1 --",
    "x" * 5_000,
    "1e200000",
    "1e9999999999999999999",
    "1e-200000",
    "-1",
    "9" * 5_000,
    "NaN",
    "sNaN",
    "Infinity",
    "-0",
    "٣",
    "1e400000~1",
    "7.7~1",
    f"7.7~{2**63}",
    f"7.7~{'9' * 5_000}",
    "NaN~1",
    f"{NOW.isoformat()}~1",
    "0001-01-01T00:00:00+23:59~1",
    "9999-12-31T23:59:59-23:59~1",
    "2026-11-20T09:00:00+15:59:59.999999~1",
    "2026-11-20T09:00~1",
    "pay_another",
    "recovered",
    "largest",
    "funds",
)
VALUES = st.sampled_from(ODD) | st.text(max_size=40)
QUERIES = st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=6)


@pytest.fixture
def own(session: Session) -> Session:
    add_payment(session, payment_id="pay_1")
    session.commit()
    return session


@given(query=QUERIES)
@example(query={"sort": "largest", "after": "1e9999999999999999999~1"})
@example(query={"sort": "newest", "before": "0001-01-01T00:00:00+23:59~1"})
@example(query={"product": "\0", "payment": "\0", "q": "\0"})
@settings(max_examples=at_length(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_address_has_a_page(own: Session, query: dict[str, str]) -> None:
    """All that pages read of it, as they read it."""
    typed = clean_address(query)
    asked = read_query(typed)
    listing = read_listing(own, COMPANY, asked, VIEW)
    list(search.list_all(own, COMPANY, narrow(own, COMPANY, asked, NOW), asked.order))
    payment_detail.read_detail(own, COMPANY, typed.get("payment", ""), VIEW)
    read_selection(typed)
    zone = find_time_zone(own, COMPANY)
    cohort = Cohort(COMPANY, zone, None, NOW, choose_filters(typed))
    own.execute(select_cohort(cohort, None, func.count())).one()
    kept = store_filters(typed)
    link = urlsplit(address("payments", kept | {"after": listing.after}))
    assert dict(parse_qsl(link.query)).items() >= kept.items()


def test_an_odd_value_alone_is_as_good_as_none(own: Session) -> None:
    """Each of them in each parameter."""
    for name in PARAMETERS:
        for value in ODD:
            asked = read_query(clean_address({name: value}))
            read_listing(own, COMPANY, asked, VIEW)


@pytest.mark.parametrize("page", ADDRESSES)
def test_a_page_is_drawn_for_odd_values_in_all_its_parameters(
    monkeypatch: pytest.MonkeyPatch, database_url: str, own: Session, page: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WHOP_COMPANY_ID", COMPANY)
    for value in ("\0", "1e200000", "NaN", "9" * 5_000):
        drawn = AppTest.from_string(SCRIPT.format(page=page), default_timeout=30)
        for name in PARAMETERS:
            drawn.query_params[name] = value
        assert not drawn.run().exception, value


@pytest.mark.parametrize("amount", [0.01, 19.9, 1_234_567.89, 98_765_432.1])
def test_an_amount_that_is_typed_is_kept_to_the_cent(amount: float) -> None:
    assert float(write_value(amount)) == amount


# --- the REST API ------------------------------------------------------------------------------

API = ("/stats/summary", "/payments/list")
API_PARAMETERS = ("company_id", "status", "limit", "cursor", "unknown")
# A browser sends no half of a pair.
SENT = [value for value in ODD if value.isascii() or value == "٣"]
API_QUERIES = st.lists(
    st.tuples(st.sampled_from(API_PARAMETERS), st.sampled_from(SENT)), max_size=5
)


@given(path=st.sampled_from(API), query=API_QUERIES)
@settings(
    max_examples=at_length(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_question_to_the_api_has_an_answer_in_words(
    receiver: Receiver, path: str, query: list[tuple[str, str]]
) -> None:
    answer = receiver.request("GET", path, params=query, headers={"authorization": "Bearer t0ken"})
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        assert answer.json()["detail"].strip()


def test_a_cursor_of_another_company_shows_nothing_of_it(
    receiver: Receiver, session: Session
) -> None:
    for company_id in (COMPANY, "biz_another"):
        for _ in range(3):
            add_payment(session, company_id=company_id)
    session.commit()
    ask: Callable[..., Any] = lambda **query: receiver.request(  # noqa: E731
        "GET", "/payments/list", params=query, headers={"authorization": "Bearer t0ken"}
    ).json()
    theirs = ask(company_id="biz_another", limit=1)["next_cursor"]
    shown = ask(company_id=COMPANY, cursor=theirs)["payments"]
    assert {payment["company_id"] for payment in shown} <= {COMPANY}
