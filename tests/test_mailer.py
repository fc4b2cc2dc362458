"""What leaves for SendGrid, and what its answers mean."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Mail

from daemon.mailer import TIMEOUT_SECONDS, Mailer, make_sendgrid_client
from mail.messages import RenderedMessage
from recovery.delivery import Delivery, DeliveryState, address_refused, refused
from tests.factories import NOW
from tests.soak import at_length

WORDS = RenderedMessage("Your payment did not go through", "Hello.", "<p>Hello.</p>")
UNSUBSCRIBE = "https://receiver.example.com/unsubscribe/1.7.abc"
TURNED = "\u202emoc.elpmaxe@live\u202c"


@dataclass
class TakenMessage:
    headers: dict[str, str]
    status_code: int = 202


class Box:
    """A courier that keeps what it was given, as SendGrid would get it."""

    def __init__(self, error: Exception | None = None, answer: TakenMessage | None = None) -> None:
        self.error, self.answer = error, answer or TakenMessage({"X-Message-Id": "mail_1"})
        self.sent: list[dict[str, Any]] = []

    def send(self, message: Mail) -> TakenMessage:
        self.sent.append(message.get())
        if self.error:
            raise self.error
        return self.answer


def send(
    address: str = "jo@example.com", written: RenderedMessage = WORDS, **more: Any
) -> dict[str, Any]:
    box = Box()
    arguments = more.pop("arguments", {"message_id": "7"})
    sender = more.pop("sender", "Whop payments <billing@example.com>")
    mailer = Mailer(box, sender, sandbox_mode=more.pop("sandbox_mode", False))
    delivery = mailer.send(address, written, arguments, **more)
    assert delivery == Delivery(DeliveryState.SENT, provider_id="mail_1")
    (sent,) = box.sent
    return sent


def test_a_mail_says_who_to_whom_what_and_about_what():
    sent = send(arguments={"message_id": "7", "payment_id": "pay_1"}, step="reminder")
    assert sent["from"] == {"email": "billing@example.com", "name": "Whop payments"}
    assert sent["personalizations"] == [{"to": [{"email": "jo@example.com"}]}]
    assert sent["custom_args"] == {"message_id": "7", "payment_id": "pay_1"}
    assert sent["subject"] == WORDS.subject
    assert [part["type"] for part in sent["content"]] == ["text/plain", "text/html"]
    assert sorted(sent["categories"]) == ["failed-payment", "reminder"]
    assert "headers" not in sent
    assert "reply_to" not in sent


def test_it_is_written_in_the_creators_name_from_our_address():
    sent = send(sender_name="Lantern Academy", reply_to="hello@lantern.example")
    assert sent["from"] == {"email": "billing@example.com", "name": "Lantern Academy"}
    assert sent["reply_to"] == {"email": "hello@lantern.example"}


def test_a_reminder_can_be_declined_with_one_click():
    sent = send(unsubscribe_url=UNSUBSCRIBE)
    assert sent["headers"] == {
        "List-Unsubscribe": f"<{UNSUBSCRIBE}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_openings_and_clicks_are_told_whatever_the_account_is_set_to():
    assert send()["tracking_settings"] == {
        "click_tracking": {"enable": True, "enable_text": False},
        "open_tracking": {"enable": True},
        "subscription_tracking": {"enable": False},
    }


@pytest.mark.parametrize("switched", [True, False])
def test_sandbox_mode_is_said_outright(switched):
    assert send(sandbox_mode=switched)["mail_settings"] == {"sandbox_mode": {"enable": switched}}


def test_values_of_arguments_are_text():
    assert send(arguments={"message_id": 7})["custom_args"] == {"message_id": "7"}


# Nothing that somebody else wrote becomes a header.


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Acme\r\nBcc: eve@example.com", "Acme Bcc: eve@example.com"),
        ('Acme" <eve@example.com>, "', "Acme eve@example.com,"),
        ("Acme\\", "Acme"),
        ("Acme\u2028Bcc: eve", "Acme Bcc: eve"),
        ("Acme\x00\x85\x0b", "Acme"),
        (f"Acme {TURNED}", "Acme moc.elpmaxe@live"),
        ("Åse & Söhne 🍋 مرحبا", "Åse & Söhne 🍋 مرحبا"),
        ("👩\u200d🚀 Club", "👩\u200d🚀 Club"),
        ("x" * 10_000, "x" * 99 + "…"),
        (" \n ", "Whop payments"),
        ("", "Whop payments"),
    ],
)
def test_a_hostile_name_is_a_name_or_nothing(name, shown):
    assert send(sender_name=name)["from"] == {"email": "billing@example.com", "name": shown}


def test_a_hostile_subject_stays_one_line():
    written = RenderedMessage("Pay\r\nBcc: eve@example.com\n\n<b>" + "y" * 1000, "t", "h")
    subject = send(written=written)["subject"]
    assert subject.startswith("Pay Bcc: eve@example.com <b>yyy")
    assert len(subject) == 250


@pytest.mark.parametrize(
    "address",
    [
        "",
        "jo",
        "jo@example.com\r\nBcc: eve@example.com",
        "jo@example.com,eve@example.com",
        "Jo <jo@example.com>",
        '"jo"@example.com',
        "jo@@example.com",
        "jo@exa mple.com",
        "jo@example.com\n",
        "x" * 65 + "@example.com",
    ],
)
@pytest.mark.parametrize("field", ["address", "reply_to"])
def test_what_is_not_one_bare_address_is_refused_before_it_leaves(field, address):
    box = Box()
    given = {"address": "jo@example.com"} | {field: address}
    delivery = Mailer(box, "us@example.com").send(given.pop("address"), WORDS, {}, **given)
    assert box.sent == []
    assert (
        delivery
        == {
            "address": address_refused("the address is not one"),
            "reply_to": refused("the address for answers is not one"),
        }[field]
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/\r\nBcc: eve@example.com",
        "https://x.example/>, <mailto:eve@example.com",
        "javascript:alert(1)",
        "https://x.example/a b",
        "https://x.example/é",
        "",
    ],
)
def test_a_link_that_could_be_more_is_refused_before_it_leaves(url):
    box = Box()
    mailer = Mailer(box, "us@example.com")
    delivery = mailer.send("jo@example.com", WORDS, {}, unsubscribe_url=url)
    assert box.sent == []
    assert delivery == refused("the link to unsubscribe is not one")


@given(st.text(), st.text())
@settings(max_examples=at_length(300))
def test_no_text_whatever_breaks_a_line(name, subject):
    sent = send(sender_name=name, written=RenderedMessage(subject or "s", "t", "h"))
    for text in (sent["from"]["name"], sent.get("subject", "")):
        assert len(text.splitlines()) <= 1
        assert not any(unicodedata.category(context) == "Cc" for context in text)
    assert not set('"\\<>') & set(sent["from"]["name"])
    assert set(sent) >= {"from", "personalizations", "content"}
    assert "headers" not in sent


# What an answer means.


def answered(status: int, headers: dict[str, str] | None = None) -> Delivery:
    box = Box(HTTPError(status, "", b"jo@example.com", headers or {}))
    mailer = Mailer(box, "us@example.com", clock=lambda: NOW)
    delivery = mailer.send("jo@example.com", WORDS, {})
    assert delivery.detail == f"SendGrid answered {status}"
    return delivery


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (400, DeliveryState.REFUSED),
        (401, DeliveryState.ACCOUNT_REFUSED),
        (403, DeliveryState.ACCOUNT_REFUSED),
        (413, DeliveryState.REFUSED),
        (429, DeliveryState.PUT_OFF),
        (500, DeliveryState.UNKNOWN),
        (502, DeliveryState.UNKNOWN),
        (503, DeliveryState.PUT_OFF),
        (504, DeliveryState.UNKNOWN),
    ],
)
def test_an_answer_says_whether_the_mail_was_taken(status, state):
    assert answered(status).state is state


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 45)}, 45),
        ({"Retry-After": format_datetime(NOW + timedelta(minutes=2))}, 120),
        ({"Retry-After": "30", "X-RateLimit-Reset": "0"}, 30),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 45)}, 0),
        ({"Retry-After": "99999999999"}, 3600),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "later"}, None),
        ({"Retry-After": "9" * 40}, None),
        ({}, None),
    ],
)
def test_a_busy_service_says_when_to_come_again(headers, seconds):
    delivery = answered(429, headers)
    assert delivery.state is DeliveryState.PUT_OFF
    waits = delivery.retry_after
    assert (waits is None and seconds is None) or waits == timedelta(seconds=seconds)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """A SendGrid over a real socket that gives one answer, for the official package to read."""
    servers = []

    def start(status: int, **headers: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name.replace("_", "-"), text)
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def over(url: str) -> Mailer:
    return Mailer(make_sendgrid_client("SG.x", url), "us@example.com", clock=lambda: NOW)


@pytest.mark.slow
def test_the_package_brings_back_the_id_and_how_long_to_wait(serve):
    mailer = over(serve(202, X_Message_Id="mail_9"))
    assert mailer.send("jo@example.com", WORDS, {}).provider_id == "mail_9"
    delivery = over(serve(429, Retry_After="7")).send("jo@example.com", WORDS, {})
    assert delivery.state is DeliveryState.PUT_OFF
    assert delivery.retry_after == timedelta(seconds=7)


def test_a_silent_service_is_given_up_on_and_nothing_is_concluded(serve):
    sendgrid_client = make_sendgrid_client("SG.x", "http://127.0.0.1:9")
    assert isinstance(sendgrid_client, SendGridAPIClient)
    assert sendgrid_client.client.timeout == TIMEOUT_SECONDS == 15
    for error in (TimeoutError(), ConnectionResetError()):
        delivery = Mailer(Box(error), "us@example.com").send("jo@example.com", WORDS, {})
        assert delivery.state is DeliveryState.UNKNOWN
