"""Sends email through SendGrid: one call per email, with a timeout, and reads the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPException
from typing import Protocol

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    Content,
    CustomArg,
    From,
    Header,
    Mail,
    MailSettings,
    OpenTracking,
    ReplyTo,
    SandBoxMode,
    Subject,
    SubscriptionTracking,
    To,
    TrackingSettings,
)

from db.company_settings.addresses import is_address, parse_address, parse_sender
from db.session import now as utc_now
from mail.messages import RenderedMessage
from mail.sendgrid_answers import judge_status, read_complaint, read_wait
from recovery.delivery import Delivery, DeliveryState, address_refused, refused, sent, unknown
from recovery.wording import make_plain

# The SendGrid package sets no timeout and would wait for ever.
TIMEOUT_SECONDS = 15
CATEGORY = "failed-payment"
LINK = re.compile(r"https?://[!-;=?-~]{1,1000}", re.ASCII)
LONGEST_NAME, LONGEST_SUBJECT = 100, 250
QUOTES = str.maketrans(dict.fromkeys('"\\<>'))


class Response(Protocol):
    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


class SendGridClient(Protocol):
    """What `Mailer` needs; SendGrid's own client has it."""

    def send(self, message: Mail) -> Response: ...


def make_sendgrid_client(key: str, url: str) -> SendGridClient:
    client = SendGridAPIClient(key, host=url)
    client.client.timeout = TIMEOUT_SECONDS
    sendgrid_client: SendGridClient = client
    return sendgrid_client


class Mailer:
    """`sender` is an address or "Name <address>"; anything else raises AddressError.

    In `sandbox_mode` SendGrid checks each email but sends none.
    """

    def __init__(
        self,
        sendgrid_client: SendGridClient,
        sender: str,
        *,
        sandbox_mode: bool = False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.sendgrid_client, self.sandbox_mode, self.clock = sendgrid_client, sandbox_mode, clock
        self.name, self.address = parse_sender(sender)

    def send(
        self,
        address: str,
        message: RenderedMessage,
        arguments: dict[str, str],
        *,
        sender_name: str | None = None,
        reply_to: str | None = None,
        unsubscribe_url: str | None = None,
        step: str | None = None,
        category: str = CATEGORY,
    ) -> Delivery:
        if (fault := find_fault(address, reply_to, unsubscribe_url)) is not None:
            return fault
        mail = self.compose(address, message, arguments, sender_name)
        mail.category = [Category(word) for word in (category, step) if word]
        if reply_to is not None:
            mail.reply_to = ReplyTo(parse_address(reply_to))
        if unsubscribe_url is not None:
            add_one_click(mail, unsubscribe_url)
        return self.deliver(mail)

    def deliver(self, mail: Mail) -> Delivery:
        try:
            response = self.sendgrid_client.send(mail)
        except HTTPError as error:
            return self.interpret(int(error.status_code), error.body, error.headers or {})
        except (OSError, HTTPException) as error:
            return unknown(f"no answer from SendGrid ({type(error).__name__})")
        return self.interpret(response.status_code, None, response.headers)

    def interpret(self, status: int, body: bytes | None, headers: Mapping[str, str]) -> Delivery:
        complaint, said = read_complaint(body)
        state = judge_status(status, complaint, sandbox_mode=self.sandbox_mode)
        if state is DeliveryState.SENT:
            return sent(headers.get("X-Message-Id") or None)
        busy = state is DeliveryState.PUT_OFF
        detail = f"SendGrid answered {status}: {said}" if said else f"SendGrid answered {status}"
        return Delivery(state, detail, read_wait(headers, self.clock()) if busy else None)

    def compose(
        self,
        address: str,
        message: RenderedMessage,
        arguments: dict[str, str],
        sender_name: str | None,
    ) -> Mail:
        """The sender's name is the creator's; the address is ours, which SendGrid has verified."""
        name = write_name(sender_name or "") or write_name(self.name)
        subject = make_plain(message.subject, LONGEST_SUBJECT)
        mail = Mail(From(self.address, name or None), To(parse_address(address)), Subject(subject))
        mail.content = [Content("text/plain", message.text), Content("text/html", message.html)]
        for argument, value in arguments.items():
            mail.add_custom_arg(CustomArg(argument, str(value)))
        mail.mail_settings = MailSettings(sandbox_mode=SandBoxMode(self.sandbox_mode))
        # Set explicitly, so that the account's settings do not decide which events we get. Links in
        # the text part stay readable. SendGrid adds no unsubscribe link of its own: that one would
        # stop the emails of all companies.
        mail.tracking_settings = TrackingSettings(
            click_tracking=ClickTracking(True, False),
            open_tracking=OpenTracking(True),
            subscription_tracking=SubscriptionTracking(False),
        )
        return mail


def find_fault(address: str, reply_to: str | None, unsubscribe_url: str | None) -> Delivery | None:
    """Why the email must not be sent; None: it may be sent."""
    # Only bare addresses. SendGrid's package would parse a name and brackets out of anything else.
    if not is_address(address):
        return address_refused("the address is not one")
    if reply_to is not None and not is_address(reply_to):
        return refused("the address for answers is not one")
    if unsubscribe_url is not None and not LINK.fullmatch(unsubscribe_url):
        return refused("the link to unsubscribe is not one")
    return None


def add_one_click(mail: Mail, url: str) -> None:
    """RFC 8058: the mail program shows a button that unsubscribes with one POST."""
    mail.add_header(Header("List-Unsubscribe", f"<{url}>"))
    mail.add_header(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))


def write_name(text: str) -> str:
    """Removes what could end the name and start another address: the name stands beside one."""
    return make_plain(text.translate(QUOTES), LONGEST_NAME)
