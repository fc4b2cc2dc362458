"""A member's way out of the messages: a link that only we can make, and one button."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import URL, Engine, select
from sqlalchemy.orm import Session

from daemon.settings import DaemonSettings
from db.models import Company, Payment, Suppression
from db.session import SessionFactory, connect
from mail.links import make_unsubscribe_url, read_unsubscribe_token
from recovery.delivery import DeliveryFailure
from recovery.status import MessageState, Step
from tests.factories import COMPANY, HOUR, NOW
from tests.mail_service import LINK_SECRET, MailReceiver, add_message, get_message, make_settings

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def receiver(engine: Engine) -> MailReceiver:
    return MailReceiver(engine)


def path_to(message_id: int, secret: str = LINK_SECRET) -> str:
    return make_unsubscribe_url("", secret, message_id)


def token_of(message_id: int, secret: str = LINK_SECRET) -> str:
    return path_to(message_id, secret).rpartition("/")[2]


# The link.


def test_a_link_leads_back_to_its_message():
    for message_id in (1, 2, 10**9, 2**63 - 1):
        assert read_unsubscribe_token(LINK_SECRET, token_of(message_id)) == message_id


def test_a_link_is_one_line_without_an_address_and_needs_no_escaping():
    url = make_unsubscribe_url("https://receiver.example.com/", LINK_SECRET, 7)
    assert re.fullmatch(r"https://receiver\.example\.com/unsubscribe/1\.7\.[\w-]{43}", url)


def test_a_link_is_the_same_for_ever():
    """So it still works when its mail is read months later."""
    assert token_of(7) == "1.7.bvHP4bgvwtPOUnqLI7azZEdseW34tEZc63Bt0U1nFfU"


def test_every_letter_of_a_link_counts():
    token = token_of(7)
    for at, context in enumerate(token):
        for other in "1.A_":
            if other != context:
                forged = token[:at] + other + token[at + 1 :]
                assert read_unsubscribe_token(LINK_SECRET, forged) is None, forged


@pytest.mark.parametrize(
    "token",
    [
        "",
        "7",
        "1.7",
        "1.7.",
        f"1.7.{'A' * 43}",
        f"1.8.{token_of(7)[4:]}",
        f"2.7.{token_of(7)[4:]}",
        f"1.07.{token_of(7)[4:]}",
        f"1.\u0667.{token_of(7)[4:]}",
        f"1.{'9' * 19}.{'A' * 43}",
        token_of(7) + "\n",
        token_of(7) + "=",
        " " + token_of(7),
        token_of(7).upper(),
        token_of(7, "another secret of the links, long enough"),
    ],
)
def test_a_link_that_we_did_not_make_is_refused(token):
    assert read_unsubscribe_token(LINK_SECRET, token) is None


def test_without_a_secret_no_link_is_made_and_none_believed():
    with pytest.raises(ValueError, match="LINK_SECRET"):
        make_unsubscribe_url("https://example.com", "", 7)
    assert read_unsubscribe_token("", token_of(7)) is None


def test_production_asks_for_what_the_links_need_in_one_error():
    usual: dict[str, Any] = {"_env_file": None, "environment": "production", "email_enabled": True}
    with pytest.raises(ValidationError, match="SENDGRID_API_KEY, EMAIL_FROM, LINK_SECRET, a BASE"):
        DaemonSettings(**usual)
    with pytest.raises(ValidationError, match="EMAIL_ENABLED needs LINK_SECRET"):
        make_settings(email_enabled=True, link_secret="")
    mails: dict[str, Any] = {"sendgrid_api_key": "SG.x", "email_from": "us@example.com"}
    DaemonSettings(**usual, **mails, link_secret=LINK_SECRET, base_url="https://example.com")
    DaemonSettings(**(usual | {"environment": "development"}), **mails)


def test_a_secret_that_could_be_guessed_is_not_taken():
    with pytest.raises(ValidationError, match="at least 32 characters"):
        make_settings(link_secret="fallback")


# The page.


def test_looking_at_the_page_changes_nothing(
    receiver: MailReceiver, session: Session, sessions: SessionFactory
):
    message_id = add_message(session)
    queued = add_message(session, MessageState.QUEUED)
    for _ in range(3):
        answer = receiver.request("GET", path_to(message_id))
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
    assert get_message(sessions, message_id).delivery_failure is None
    assert get_message(sessions, queued).state is MessageState.QUEUED
    with sessions() as session:
        assert session.scalars(select(Suppression)).all() == []


def test_the_page_has_one_button_and_asks_for_nothing_from_anywhere(
    receiver: MailReceiver, session: Session
):
    answer = receiver.request("GET", path_to(add_message(session)))
    page = answer.text
    assert re.findall(r"<(form[^>]*|button[^>]*)>", page) == [
        'form method="post"',
        'button name="List-Unsubscribe" value="One-Click"',
    ]
    assert not re.search(r"<(script|img|link|iframe|object|a)\b|url\(|@import|https?:", page)
    assert 'name="viewport" content="width=device-width' in page
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    (style,) = re.findall(r"<style>(.*)</style>", page, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert answer.headers["cache-control"] == "no-store"


def test_the_page_says_who_writes_and_takes_a_name_as_text(
    receiver: MailReceiver, session: Session
):
    message_id = add_message(session)
    session.get_one(Company, COMPANY).name = "<script>alert(1)</script> & Söhne"
    session.commit()
    page = receiver.request("GET", path_to(message_id)).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne writes to you" in page
    assert "<script>" not in page


@pytest.mark.parametrize("body", [{"data": ONE_CLICK}, {"files": {"x": b"1"}}, {}, {"json": [1]}])
def test_a_post_ends_the_messages_however_it_is_sent(
    receiver: MailReceiver, session: Session, sessions: SessionFactory, body
):
    message_id = add_message(session)
    queued = add_message(session, MessageState.QUEUED)
    with sessions.begin() as writing:
        for payment in writing.scalars(select(Payment)):
            payment.next_step, payment.next_message_at = Step.REMINDER, NOW + 48 * HOUR
    answer = receiver.request("POST", path_to(message_id), **body)
    assert answer.status_code == 200
    assert "Done" in answer.text
    assert "payment itself may still be tried again" in answer.text
    assert get_message(sessions, message_id).delivery_failure is DeliveryFailure.UNSUBSCRIBED
    assert get_message(sessions, message_id).state is MessageState.SENT
    assert get_message(sessions, queued).state is MessageState.SKIPPED
    with sessions() as session:
        (known,) = session.scalars(select(Suppression))
        assert (known.address, known.reason) == ("jo@example.com", DeliveryFailure.UNSUBSCRIBED)
        assert not session.scalars(select(Payment).where(Payment.next_step.is_not(None))).all()
        statuses = {payment.status for payment in session.scalars(select(Payment))}
    assert "permanent_fail" not in statuses  # the payment goes on


def test_a_second_post_is_answered_like_the_first(
    receiver: MailReceiver, session: Session, sessions: SessionFactory
):
    path = path_to(add_message(session))
    first, second = (receiver.request("POST", path, data=ONE_CLICK) for _ in range(2))
    assert (first.status_code, first.text) == (second.status_code, second.text)
    with sessions() as session:
        assert len(session.scalars(select(Suppression)).all()) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "token",
    [
        "x",
        f"1.1.{'A' * 43}",
        token_of(1, "another secret of the links, long enough"),
        token_of(999_999),  # ours, but its message is gone
        "%00",
        "1.1.%E2%82%AC",
    ],
)
def test_a_forged_link_gets_a_page_in_words_and_changes_nothing(
    receiver: MailReceiver, session: Session, sessions: SessionFactory, method, token
):
    message_id = add_message(session)
    answer = receiver.request(method, f"/unsubscribe/{token}")
    assert answer.status_code == 404
    assert "This link does not work" in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert get_message(sessions, message_id).delivery_failure is None


def test_without_a_secret_no_link_opens_anything(engine: Engine, session: Session):
    receiver = MailReceiver(engine, link_secret="")
    message_id = add_message(session)
    assert receiver.request("POST", path_to(message_id)).status_code == 404


def test_while_the_database_is_away_the_page_says_so(receiver: MailReceiver, session: Session):
    path = path_to(add_message(session))
    nowhere = URL.create("postgresql+psycopg2", host="127.0.0.1", port=9)
    receiver.app.state.sessions.configure(bind=connect(nowhere, "tests"))
    for method in ("GET", "POST"):
        answer = receiver.request(method, path)
        assert answer.status_code == 503
        assert "Nothing was changed" in answer.text
