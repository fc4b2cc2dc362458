"""Every page, message, file, digest, post and document says the one word for each thing, and no
identifier. The words are in recovery/labels.py, what is refused in tests/vocabulary.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.message import Message as Proto  # type: ignore[import-untyped]
from pydantic import SecretStr
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from daemon.preview import write_preview
from dashboard.data import payments as payments_data
from dashboard.data.payments import export
from dashboard.settings import DashboardSettings
from dashboard.text.payment_csv import list_rows
from dashboard.views.insights import panels
from dashboard.views.insights.parts import Part
from dashboard.views.payments.filters import read_query
from db.creator_notices.digest import Sum, measure_week
from db.creator_notices.weeks import Week
from db.reporting.attention import Needed
from db.session import now
from mail import messages, posts
from mail.digest import write_digest
from mail.samples import DESTINATION, FAILED_AT, UNSUBSCRIBE_URL, make_sample
from recovery import labels
from recovery.action_required import Need
from recovery.decline_codes import CODES
from recovery.declines import MEANINGS, DeclineClass
from recovery.health import Deliverability
from recovery.status import NoticeKind, PaymentStatus, RecoveredBy, Step
from tests import everything
from tests.factories import COMPANY, NOW
from tests.pages import fresh as fresh
from tests.vocabulary import (
    SECOND_NAMES,
    SECOND_WORDS,
    find_faults,
    find_identifiers,
    find_second_words,
    read_html,
    read_markdown,
)

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# They list what things were called before, and that is what they are for.
OF_FORMER_WORDS = {DOCS / "glossary.md", DOCS / "developers" / "former-names.md"}
DOCUMENTS = [
    page
    for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
    if page not in OF_FORMER_WORDS
]
SCRIPT = """
from dashboard.settings import DashboardSettings
from dashboard.views.{page} import page
from db.settings import load_settings

page.show(load_settings(DashboardSettings))
"""
# What the browser is told beside what it shows.
UNREAD = {
    "id",
    "key",
    "form_id",
    "form_data_id",
    "src",
    "url",
    "element_hash",
    "script_hash",
    "icon",
    "query_param_key",
    "language",
    "css",
    "js",
    "spec",
    "config",
    "color",
}


# --- reading -----------------------------------------------------------------------------------


def read_proto(proto: Proto) -> Iterator[str]:
    """All text in it, whatever kind of element it is. HTML is read as a person does."""
    for field, value in proto.ListFields():
        if field.name in UNREAD:
            continue
        many = value if field.is_repeated else [value]
        for one in many:
            if isinstance(one, Proto):
                yield from read_proto(one)
            elif isinstance(one, str):
                yield from read_html(one)


def read_chart(spec: str) -> Iterator[str]:
    """Names, labels, axes, and what a pointer is shown."""
    figure = json.loads(spec)
    for trace in figure["data"]:
        yield from read_html(str(trace.get("name", "")))
        shown = [*as_list(trace.get("text")), *as_list(trace.get("customdata"))]
        for text in shown:
            # The first of several is the key of a group, for the click on it.
            for part in text[1:] if isinstance(text, list) else [text]:
                yield from read_html(str(part))
    for note in figure["layout"].get("annotations", ()):
        yield from read_html(note["text"])
    for axis in ("xaxis", "yaxis"):
        for text in as_list(figure["layout"].get(axis, {}).get("ticktext")):
            yield from read_html(text)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def read_page(page: AppTest) -> list[str]:
    assert not page.exception
    protos = [node.proto for node in page._tree if getattr(node, "proto", None) is not None]
    texts = [text for proto in protos for text in read_proto(proto)]
    charts = [text for chart in page.get("plotly_chart") for text in read_chart(chart.proto.spec)]
    return texts + charts


def read_rows(rows: object) -> list[str]:
    """Of a table before it is written: what is no text is a number."""
    return [cell for row in rows for cell in row if isinstance(cell, str)]  # type: ignore[attr-defined]


# --- every page --------------------------------------------------------------------------------


Draw = Callable[..., list[str]]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the files hold that the pages offer."""
    kept: list[str] = []

    def to_csv(rows: Any) -> bytes:
        kept.extend(read_rows(list(rows)))
        return b""

    monkeypatch.setattr(panels, "to_csv", to_csv)
    monkeypatch.setattr(payments_data, "to_csv", to_csv)
    return kept


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Draw:
    def draw(page: str, **query: str) -> list[str]:
        monkeypatch.setenv("DATABASE_URL", database_url)
        monkeypatch.setenv("WHOP_COMPANY_ID", COMPANY)
        test = AppTest.from_string(SCRIPT.format(page=page), default_timeout=60)
        for name, value in query.items():
            test.query_params[name] = value
        return read_page(test.run())

    return draw


def test_the_pages_say_one_word_for_each_thing(draw: Draw, files: list[str], session: Session):
    made = everything.fill(session, now())
    found = [*draw("overview"), *draw("settings"), *draw("health")]
    found += [text for part in Part for text in draw("insights", part=part, span="all time")]
    found += [text for step in Step for text in draw("messages", step=step)]
    found += [text for status in PaymentStatus for text in draw("payments", status=status)]
    assert_all_labels_are_read(found)
    assert find_faults(found + files) == []
    assert len(files) > 100
    assert made


def assert_all_labels_are_read(found: list[str]) -> None:
    """Else the faults of what is not drawn could not be found."""
    said = "\n".join(found)
    for label in (*labels.STATUSES.values(), *labels.REASONS.values()):
        assert label in said, label


@pytest.mark.parametrize("status", PaymentStatus)
def test_a_payment_s_page_says_one_word_for_each_thing(
    draw: Draw, session: Session, status: PaymentStatus
):
    """Each attempt, message, request and act is told of on one of them."""
    made = [one for one in everything.fill(session, now()) if one.status is status]
    found = [text for one in made[:12] for text in draw("payments", payment=one.payment_id)]
    assert find_faults(found) == []


def test_the_payments_file_says_what_the_page_says(
    session: Session, database_url: str, files: list[str]
):
    made = everything.fill(session, now())
    export(
        DashboardSettings(database_url=SecretStr(database_url)), COMPANY, read_query({}), list_rows
    )
    assert find_faults(files) == []
    assert set(labels.STATUSES.values()) - {"Waiting"} <= set(files)
    tables = (labels.REASONS, labels.RECOVERED_BY, labels.CLOSED_REASONS)
    assert {label for table in tables for label in table.values()} <= set(files)
    assert len(files) > 10 * len(made)


# --- every message -----------------------------------------------------------------------------


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("decline_class", DeclineClass)
def test_every_message_says_one_word_for_each_thing(step: Step, decline_class: DeclineClass):
    for code in CODES.get(decline_class, {None: ""}):
        for planned in (None, FAILED_AT + everything.DAY):
            sample = make_sample(step, decline_class, others=2)
            context = replace(sample, decline_code=code, next_retry_at=planned)
            written = messages.write(context, DESTINATION, unsubscribe_url=UNSUBSCRIBE_URL)
            chat = messages.write_chat(context, DESTINATION)
            texts = [written.subject, written.text, *read_html(written.html), chat]
            # Whop's own address of a membership or a payment is no word of ours.
            assert find_faults([text.replace("_Sample", "") for text in texts]) == []


def test_the_preview_s_index_says_one_word_for_each_thing(tmp_path: Path):
    write_preview(tmp_path)
    assert find_faults(read_html((tmp_path / "index.html").read_text())) == []


def test_the_digest_says_one_word_for_each_thing(session: Session):
    everything.fill(session, NOW)
    digest = measure_week(session, COMPANY, Week(date(2026, 11, 16), ZoneInfo("Europe/Berlin")))
    assert digest.needing_action
    written = write_digest(digest, "https://dash.example")
    assert find_faults([written.subject, written.text, *read_html(written.html)]) == []


def test_every_post_says_one_word_for_each_thing():
    some = Sum(3, Decimal("147.00"))
    needed = [Needed(need, 2, Decimal("98.00")) for need in Need]
    written = [
        posts.write_recoveries("Lantern", dict.fromkeys(RecoveredBy, some), needed),
        posts.write_silence("Lantern", NOW, ZoneInfo("Europe/Berlin")),
        posts.write_bouncing("Lantern", Deliverability(100, 20)),
        *(posts.write_plain("Lantern", kind) for kind in NoticeKind),
    ]
    assert find_faults(written) == []


def test_every_label_and_every_reason_is_one_word_for_one_thing():
    tables = [table for name, table in vars(labels).items() if name.isupper()]
    said = [label for table in tables for label in table.values()]
    codes = [words for table in CODES.values() for words in table.values()]
    assert find_faults([*said, *codes, *MEANINGS.values()]) == []


# --- every document ----------------------------------------------------------------------------


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_document_says_one_word_for_each_thing(page: Path):
    assert find_faults(read_markdown(page.read_text())) == []


# --- it can fail -------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [*SECOND_WORDS, *SECOND_NAMES])
def test_no_label_is_refused_itself(label: str):
    assert list(find_second_words(label)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Given up",
        "It was given up: no retry is left",
        "Not enough money",
        "paid without us",
        "your e-mail",
        "Questions? Reply to this mail.",
        "3 by members after our message",
        "61 of 98 (62.2%)",
        "62.2% (61 of 98)",
        "Payment failed",
    ],
)
def test_a_second_word_is_found(text: str):
    assert list(find_second_words(text)) != []


@pytest.mark.parametrize(
    "text",
    [
        "it is permanent_fail",
        "sync_error: no answer",
        "Company biz_demo.",
        "digest from False to True",
        "sent to None",
        "PaymentStatus.FAILED",
        "<Step.NOTICE: 'notice'>",
        "holdout_percent",
    ],
)
def test_an_identifier_is_found(text: str):
    assert list(find_identifiers(text)) != []


@pytest.mark.parametrize(
    "text",
    [
        "Jo <jo_doe@example.com>",
        "pay_demo",
        "{{ next_try }}",
        "https://x.example/a_b?c_d=e",
        "America/New_York",
        "None is left.",
        "payment:basic_read:list",
        "Set WHOP_API_KEY",
    ],
)
def test_what_is_no_identifier_of_ours_is_left_alone(text: str):
    assert list(find_identifiers(text)) == []


def plant_everywhere() -> None:
    """A second word in each kind of place that a page has. Streamlit runs it as a page."""
    import plotly.graph_objects as go
    import streamlit as st

    st.title("Given up 1")
    st.button("Given up 2", help="Given up 3")
    st.selectbox("Given up 4", ["Given up 5", "b"], placeholder="Given up 6")
    st.metric("Given up 7", "Given up 8", delta="Given up 9", help="Given up 10")
    st.html("<p aria-label='x'>Given up 11</p><img alt=\"Given up 12\">")
    st.text_input("Given up 13", value="Given up 14", placeholder="Given up 15")
    st.warning("Given up 16")
    st.segmented_control("Given up 17", ["Given up 18"])
    with st.expander("Given up 19"):
        st.toggle("Given up 20")
    for tab in st.tabs(["Given up 21"]):
        tab.download_button("Given up 22", b"", help="Given up 23")
    bar = {"name": "Given up 24", "text": ["Given up 25"], "customdata": [["k", "Given up 26"]]}
    figure = go.Figure(go.Bar(x=[1], y=[1], **bar))
    figure.add_annotation(text="<b>Given up 27</b>")
    figure.update_xaxes(tickvals=[1], ticktext=["Given up 28"])
    st.plotly_chart(figure, alt="Given up 29")
    with st.popover("Given up 30"):
        st.number_input("Given up 31")


def test_a_second_word_is_found_wherever_it_stands_on_a_page():
    page = AppTest.from_function(plant_everywhere, default_timeout=30).run()
    said = {text for text in read_page(page) if list(find_second_words(text))}
    assert {f"Given up {number}" for number in range(1, 32)} - said == set()


def test_a_second_word_is_found_in_a_message_a_post_a_digest_and_a_document(
    monkeypatch: pytest.MonkeyPatch, session: Session
):
    everything.fill(session, NOW)
    step, member = Step.PAYMENT_FAILED, RecoveredBy.MEMBER
    ours = replace(messages.OURS[step], text="Not enough money", html="<p>Not enough money</p>")
    monkeypatch.setitem(messages.OURS, step, ours)
    monkeypatch.setitem(labels.RECOVERED_BY, member, "Recovered by members")
    written = messages.write(make_sample(step, DeclineClass.FUNDS), DESTINATION)
    some = Sum(3, Decimal("147.00"))
    week = Week(date(2026, 11, 16), ZoneInfo("Europe/Berlin"))
    for texts in (
        [written.text],
        read_html(written.html),
        [posts.write_recoveries("Lantern", dict.fromkeys(RecoveredBy, some))],
        [write_digest(measure_week(session, COMPANY, week), "https://dash.example").text],
        read_markdown("| a | Not enough money |\n"),
        read_markdown("It is\ngiven up, says [the page](x.md)."),
    ):
        assert find_faults(texts) != []


def test_what_a_document_quotes_as_code_is_left_alone():
    assert find_faults(read_markdown("`permanent_fail`\n\n```\ngiven_up = None\n```\n")) == []
    assert find_faults(read_markdown("[a page](some_page.md#given-up)")) == []
    assert find_faults(read_markdown("permanent_fail")) != []
