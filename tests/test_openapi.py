"""The receiver keeps to its own description, and the description leaves nothing out."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from sqlalchemy import URL, Engine

from db.session import connect
from tests.soak import at_length
from webhook.app import create_app
from webhook.settings import WebhookSettings

ROUTES = {
    ("post", "/webhook/payment_failed"),
    ("post", "/webhook/whop"),
    ("post", "/webhook/sendgrid"),
    ("get", "/unsubscribe/{token}"),
    ("post", "/unsubscribe/{token}"),
    ("get", "/stats/summary"),
    ("get", "/payments/list"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}


def make_app(engine: Engine) -> FastAPI:
    """In development settings, where nothing needs to be signed. Schemathesis runs its lifespan,
    and with it the inbox, until the test that called it ends."""
    return create_app(WebhookSettings(_env_file=None, environment="development"), engine)


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return make_app(engine)


# Read when the tests are collected, long before there is a database: this app only describes.
schema = schemathesis.openapi.from_asgi(
    "/openapi.json", make_app(connect(URL.create("postgresql+psycopg2"), "tests"))
)


@schema.parametrize()
@settings(
    max_examples=at_length(40),
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case: Case[Any], app: FastAPI):
    answer = case.call(app=app)
    case.validate_response(answer, excluded_checks=find_unknowable(case, answer.text))


def find_unknowable(case: Case[Any], answer: str) -> list[Any]:
    """Checks that cannot hold, with the reason why. All others do, for every request."""
    if "cursor" in (case.query or {}):
        # A cursor is opaque: no schema can tell a page's own from any other text, which is refused.
        return [positive_data_acceptance]
    if case.method == "POST":
        # The description says what to send; the reader takes more, on purpose: a field that Whop
        # adds, or an optional one that it writes differently, must not cost an event. What is
        # refused all the same, tests/test_receiver.py and tests/test_bad_input.py say.
        # And an id that was drawn before for another company's payment is refused, rightly.
        taken = "belongs to another company" in answer
        return [negative_data_rejection] + [positive_data_acceptance] * taken
    return []


def test_every_route_is_described(app: FastAPI):
    paths = app.openapi()["paths"]
    assert {(method, path) for path, item in paths.items() for method in item} >= ROUTES


def test_every_description_says_what_it_does_and_how_it_refuses(app: FastAPI):
    for path, item in app.openapi()["paths"].items():
        for operation in (item[method] for method in ("get", "post") if method in item):
            assert operation.get("summary"), path
            assert "200" in operation["responses"], path
    responses = app.openapi()["paths"]["/webhook/whop"]["post"]["responses"]
    assert responses.keys() == {"200", "400", "401", "413", "415", "422", "503"}
