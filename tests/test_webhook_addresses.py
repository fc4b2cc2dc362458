"""The addresses that webhooks go to as people type them, and the secrets that they are signed with
while those are changed."""

from __future__ import annotations

import logging

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.models import MailEvent, Payment
from tests.factories import NOW, SECRET, encode, event, payment_data, sign
from tests.mail_service import (
    PRIVATE,
    STRANGER,
    MailReceiver,
    add_message,
    batch,
    mail_event,
    show_key,
    sign_events,
)
from tests.test_receiver import Receiver, count, make_settings
from tests.test_receiver import receiver as receiver
from webhook import metrics
from webhook.app import create_app, tidy_path
from webhook.openapi import ALL_WEBHOOK_PATHS, WEBHOOK_PATHS
from whop.signature import SignatureError, verify_signature

OLD, NEW = "ws_the_old_one", "ws_the_new_one"
WAYS = ("{}/", "{}//", "/{}", "//{}//")
WRONG = ("/webhook", "/webhook/", "/webhook/whopp", "/webhook/whop/1", "/whop", "/webhooks/whop")


def type_oddly(path: str) -> list[str]:
    slashes = [way.format(path) for way in WAYS] + [path.replace("/", "//")]
    odd = [*slashes, path.upper(), path.title(), f"{path.upper()}/"]
    # Without its host, what begins with two slashes would be read as one.
    return [f"http://receiver{typed}" for typed in odd]


def read_count(status: int) -> float:
    return float(metrics.DELIVERIES.labels(str(status))._value.get())


# --- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WEBHOOK_PATHS)
def test_a_delivery_to_an_address_with_a_slash_too_many_is_kept(
    receiver: Receiver, session: Session, path: str
) -> None:
    before = read_count(200)
    odd = type_oddly(path)
    for number, typed in enumerate(odd):
        answer = receiver.deliver(event(data=payment_data(id=f"pay_{number}")), typed)
        assert (answer.status_code, answer.json()) == (200, {"status": "stored"}), typed
    assert count(session, Payment) == read_count(200) - before == len(odd)


@pytest.mark.parametrize("path", ALL_WEBHOOK_PATHS)
def test_somebody_may_look_whether_it_is_there_however_it_is_typed(
    receiver: Receiver, path: str
) -> None:
    for typed in type_oddly(path):
        assert receiver.get(typed).json() == {"status": "ready for POST"}, typed


@pytest.mark.parametrize("path", WEBHOOK_PATHS)
def test_what_is_refused_there_is_counted_and_logged_as_ever(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)
    for typed in type_oddly(path):
        before = read_count(401)
        headers = {"content-type": "application/json"}
        assert receiver.request("POST", typed, content=b"{}", headers=headers).status_code == 401
        assert read_count(401) == before + 1
        assert "delivery refused with 401" in caplog.text
        caplog.clear()


def test_what_happened_to_an_email_is_kept_however_the_address_is_typed(
    engine: Engine, session: Session
) -> None:
    message_id = add_message(session)
    receiver, odd = MailReceiver(engine), type_oddly("/webhook/sendgrid")
    for typed in odd:
        body = batch(mail_event("open", message_id))
        answer = receiver.request("POST", typed, content=body, headers=sign_events(body))
        assert answer.status_code == 200, typed
    assert count(session, MailEvent) == len(odd)


def test_while_sendgrid_s_keys_are_changed_events_signed_with_either_are_kept(
    engine: Engine, session: Session
) -> None:
    message_id = add_message(session)
    keys = f"{show_key(STRANGER)}, {show_key()}"
    receiver = MailReceiver(engine, sendgrid_webhook_key=keys)
    body = batch(mail_event("open", message_id))
    third = ec.generate_private_key(ec.SECP256R1())
    for private, status in ((PRIVATE, 200), (STRANGER, 200), (third, 401)):
        answer = receiver.send(body, sign_events(body, private=private))
        assert answer.status_code == status


@pytest.mark.parametrize("path", WRONG)
def test_a_delivery_to_another_address_is_refused_in_words_that_name_the_right_one(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)
    before = read_count(404)
    answer = receiver.deliver(event(), path)
    assert answer.status_code == 404
    assert "webhooks go to /webhook/whop" in answer.json()["detail"]
    assert read_count(404) == before + 1
    assert "delivery refused with 404" in caplog.text


def test_whoever_only_looks_at_another_address_is_told_too(receiver: Receiver) -> None:
    answer = receiver.get("/nothing/here")
    assert (answer.status_code, "GET /openapi.json" in answer.json()["detail"]) == (404, True)
    assert receiver.get("http://receiver//healthz/").json() == {"status": "ok"}


@given(st.text(alphabet="/aW. ", max_size=12))
def test_a_path_is_tidied_once_and_for_all(path: str) -> None:
    tidied = tidy_path(path)
    assert tidy_path(tidied) == tidied
    assert tidied.startswith("/")
    assert "//" not in tidied


# --- secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given_as", [f"{OLD},{NEW}", f"{NEW}, {OLD}", f" {OLD} , {NEW} "])
def test_while_secrets_are_changed_a_delivery_signed_with_either_is_kept(
    engine: Engine, session: Session, given_as: str
) -> None:
    receiver = Receiver(
        create_app(make_settings(whop_webhook_secret=given_as), engine, lambda: NOW)
    )
    assert [deliver(receiver, secret).status_code for secret in (OLD, NEW)] == [200, 200]
    for wrong in (SECRET, given_as, "", f"{OLD}{NEW}", ","):
        assert deliver(receiver, wrong).status_code == 401
    receiver.stop()
    assert count(session, Payment) == 2


def deliver(receiver: Receiver, secret: str) -> httpx.Response:
    body = encode(event())
    return receiver.request(
        "POST", "/webhook/whop", content=body, headers=sign(body, secret=secret)
    )


@pytest.mark.parametrize("text", [",", f"{OLD},", f",{OLD}", f"{OLD},,{NEW}", " ", f"{OLD}, ,"])
def test_a_secret_that_is_empty_is_refused_at_the_start(text: str) -> None:
    for setting in ("whop_webhook_secret", "sendgrid_webhook_key"):
        with pytest.raises(ValidationError, match="one comma between two"):
            make_settings(**{setting: text})


def test_two_secrets_without_a_comma_are_not_taken_for_one() -> None:
    with pytest.raises(ValidationError, match="a blank in a secret"):
        make_settings(whop_webhook_secret=f"{OLD} {NEW}")


@pytest.mark.parametrize("secrets", [(), ("",), (SECRET, ""), ("", SECRET)])
def test_no_secret_and_an_empty_one_admit_nobody(secrets: tuple[str, ...]) -> None:
    body = encode(event())
    for secret in ("", SECRET):
        with pytest.raises(SignatureError, match="no webhook secret"):
            verify_signature(secrets, sign(body, secret=secret), body, NOW)
