"""Secrets, card data and addresses never reach a log line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.logs import JsonFormatter, TextFormatter, configure_logging, mask

UNSPEAKABLE = [
    "jo.doe+tag@example.co.uk",
    "ws_a1b2c3d4e5f6",
    "apik_a1b2c3d4e5f6",
    "SG.a1b2c3.d4e5f6",
    "postgresql://churn:hunter2@db.example/churn",
    "Authorization: Bearer abc.def.ghi",
    "4242424242424242",
]


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("said", UNSPEAKABLE)
@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_no_formatter_lets_it_through(said, formatter):
    secret = said.split()[-1].removeprefix("postgresql://churn:").split("@db")[0]
    record = logging.LogRecord("x", logging.INFO, "f", 1, "it said %s", (said,), None)
    line = formatter.format(record)
    assert secret not in line
    assert "it said" in line


def test_of_several_in_one_line_none_gets_through():
    assert mask("to jo@example.com, ann@example.com") == "to [address], [address]"


def test_an_exceptions_text_is_masked_too():
    try:
        raise ValueError("row (jo@example.com) is wrong")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "broke", (), (ValueError, error, error.__traceback__)
        )
    for formatter in (TextFormatter(), JsonFormatter()):
        assert "jo@example.com" not in formatter.format(record)
        assert "ValueError" in formatter.format(record)


def test_the_words_that_matter_stay():
    line = "retry 2 of pay_Zx12Yw34Vu56Ts declined: insufficient_funds"
    assert mask(line) == line


def test_a_database_error_does_not_quote_its_parameters(session):
    with pytest.raises(SQLAlchemyError) as caught:
        session.execute(text("select 1 / 0, :person"), {"person": "Jo Doe of 5 High Street"})
    session.rollback()
    assert "High Street" not in str(caught.value)


def test_logs_for_machines_are_one_json_object_a_line(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    configure_logging("INFO", "json")
    logging.getLogger("daemon").info("payment %s: %s", "pay_1", "paid\nreally")
    (line,) = written.getvalue().splitlines()
    assert json.loads(line)["message"] == "payment pay_1: paid\nreally"
    assert json.loads(line)["level"] == "INFO"
