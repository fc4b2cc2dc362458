"""HTML is Markup, everywhere: what is put into it is escaped without anybody thinking of it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import update
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from db.embedded import ROOT
from db.models import AuditEntry, Company, Message, Payment, WebhookEvent
from tests.factories import COMPANY, NOW
from tests.pages import fresh as fresh
from tests.test_two_companies import ADDRESSES, CLOCKS, SCRIPT
from tests.two_companies import fill_ours

PRODUCT = ("recovery", "db", "mail", "whop", "webhook", "daemon", "dashboard", "sandbox", "bench")
HOME = "dashboard/ui/html.py"
OPENS = re.compile(r"<(?:/?[a-z][a-z0-9]*[\s>/]|!doctype)|[a-z]+=\"$", re.IGNORECASE)
DRAWN = {"st.html", "components.html", "components.v1.html", "st.components.v1.html"}
# Where the result of an autoescaping template is called Markup, and how often.
ESCAPED_BEFORE = {HOME: 1, "mail/messages.py": 1}
HOSTILE = (
    "<img src=x onerror=alert(1)>"
    "\"><script>alert(1)</script>' onmouseover='alert(1)"
    "{{7*7}}{% raw %}{0.__class__}%s{}&lt;b&gt;"
)
# What others may type, by the table that keeps it.
TYPED = {
    Payment: ("member_name", "member_email", "product", "reason", "card_brand"),
    Message: ("detail",),
    AuditEntry: ("actor",),
    WebhookEvent: ("type", "error"),
}
TAGS = "a b br code dd div dl dt h1 i li nav ol p span style table tbody td th thead time tr ul"
ATTRIBUTES = {"aria-hidden", "aria-label", "class", "href", "role", "scope", "style", "target"}


def read_modules() -> Iterator[tuple[str, ast.Module]]:
    for room in PRODUCT:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def find(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for module, tree in read_modules():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield module, node


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def opens_tag(node: ast.AST) -> bool:
    return is_text(node) and OPENS.search(node.value) is not None  # type: ignore[attr-defined]


def builds_html(node: ast.AST) -> bool:
    """By f-string, `+`, `%`, `.format` or `.join` on text that is not Markup."""
    match node:
        case ast.JoinedStr(values=parts):
            return any(map(opens_tag, parts))
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            return opens_tag(left) or opens_tag(right)
        case ast.Call(func=ast.Attribute(value=text, attr="format" | "join" | "format_map")):
            return opens_tag(text)
    return False


def test_only_one_function_puts_html_on_a_page() -> None:
    callers = {module for module, node in find(ast.Attribute) if ast.unparse(node) in DRAWN}
    assert callers == {HOME}


def test_no_text_is_made_html_but_by_markup() -> None:
    kinds = (ast.JoinedStr, ast.BinOp, ast.Call)
    built = [(module, ast.unparse(node)) for module, node in find(*kinds) if builds_html(node)]
    assert built == []


def test_nothing_is_called_markup_but_what_the_source_says_in_full() -> None:
    calls = [
        (module, node)
        for module, node in find(ast.Call)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Markup"
    ]
    made = [module for module, node in calls if not (node.args and is_text(node.args[0]))]
    assert len(calls) > 50
    assert {module: made.count(module) for module in made} == ESCAPED_BEFORE


def test_nobody_escapes_html_by_hand() -> None:
    by_hand = [
        f"{module}:{node.lineno}"
        for module, node in find(ast.ImportFrom, ast.Import)
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "html"
            and any(name.name == "escape" for name in node.names)
        )
        or (isinstance(node, ast.Import) and any(name.name == "html" for name in node.names))
    ]
    assert by_hand == []


def test_no_template_says_that_a_value_is_safe() -> None:
    templates = [path for room in PRODUCT for path in (ROOT / room).rglob("*.html")]
    assert len(templates) > 5
    trusting = re.compile(r"\|\s*safe|autoescape\s+false", re.IGNORECASE)
    assert [path.name for path in templates if trusting.search(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        'f"<p>{words}</p>"',
        """f'<a href="{to}">'""",
        'f"{words}</td>"',
        '"<p>" + words',
        'words + "</p>"',
        '"<b>%s</b>" % words',
        '"<li>{}</li>".format(words)',
        '"</p><p>".join(words)',
    ],
)
def test_the_search_finds_text_made_html(source: str) -> None:
    assert any(map(builds_html, ast.walk(ast.parse(source))))


@pytest.mark.parametrize(
    "source",
    ['Markup("<p>{}</p>").format(words)', 'f"<{address}>"', 'f"{a} < {b}"', '"a" + words'],
)
def test_the_search_leaves_the_rest_alone(source: str) -> None:
    assert not any(map(builds_html, ast.walk(ast.parse(source))))


# --- what is drawn -----------------------------------------------------------------------------


class Seen(HTMLParser):
    """What a browser makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def look(
    monkeypatch: pytest.MonkeyPatch, database_url: str, session: Session
) -> Callable[[str, dict[str, str]], Seen]:
    for module in CLOCKS:
        monkeypatch.setattr(module, "now", lambda: NOW)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WHOP_COMPANY_ID", COMPANY)
    fill_ours(session, NOW)
    for table, columns in TYPED.items():
        session.execute(update(table).values(dict.fromkeys(columns, HOSTILE)))
    company = session.get_one(Company, COMPANY)
    company.name = HOSTILE
    session.commit()

    def look(page: str, query: dict[str, str]) -> Seen:
        st.cache_data.clear()
        test = AppTest.from_string(SCRIPT.format(page=page), default_timeout=30)
        for name, value in query.items():
            test.query_params[name] = value
        test.session_state["preview"] = True
        test.run()
        assert not test.exception
        seen = Seen()
        for block in test.get("html"):
            seen.feed(block.proto.body)
        for chart in test.get("plotly_chart"):
            # Plotly reads tags as well.
            for words in list_words(json.loads(chart.proto.spec)):
                seen.feed(words)
        return seen

    return look


def list_words(chart: dict[str, Any]) -> Iterator[str]:
    """What is written beside its bars, and what they say when they are pointed at."""
    for note in chart["layout"].get("annotations", []):
        yield note["text"]
    for bars in chart["data"]:
        for point in bars.get("customdata", []):
            yield from point[1:] if isinstance(point, list) else []


@pytest.mark.parametrize("page", ADDRESSES)
def test_every_page_shows_what_others_typed_as_they_typed_it_and_runs_none_of_it(
    look: Callable[[str, dict[str, str]], Seen], page: str
) -> None:
    queries = ADDRESSES[page][:3] + [{"payment": f"pay_{COMPANY}_0"}] * (page == "payments")
    seen = [look(page, query) for query in queries]
    assert set().union(*(one.tags for one in seen)) <= set(TAGS.split())
    assert set().union(*(one.attributes for one in seen)) <= ATTRIBUTES
    assert any(HOSTILE in one.text for one in seen)
