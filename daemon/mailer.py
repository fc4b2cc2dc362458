"""SendGrid, as far as we use it: one mail, one call, a time-out, and what the answer means."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parseaddr
from http.client import HTTPException
from typing import Protocol

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Category, Content, CustomArg, From, Mail, Subject, To

from mail.letters import Written

TIMEOUT_SECONDS = 15  # the package has none of its own and would wait for ever
CATEGORY = "failed-payment"


class MailError(Exception):
    """Base. str() is safe to log: no address is in it."""


class RejectedError(MailError):
    """The mail was not taken and never will be."""


class BusyError(MailError):
    """The mail was not taken; it may be tried again."""


class UncertainError(MailError):
    """It may have been taken: never send it again."""


class Answer(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


class Courier(Protocol):
    """Carries a mail to the mail service; SendGrid's own client is one."""

    def send(self, message: Mail) -> Answer: ...


def make_courier(key: str, url: str) -> Courier:
    client = SendGridAPIClient(key, host=url)
    client.client.timeout = TIMEOUT_SECONDS
    courier: Courier = client
    return courier


class Mailer:
    """`sender` is an address, or "Name <address>"."""

    def __init__(self, courier: Courier, sender: str) -> None:
        self.courier = courier
        name, address = parseaddr(sender)
        self.sender = From(address, name or None)

    def send(self, address: str, written: Written, arguments: dict[str, str]) -> str | None:
        """Returns SendGrid's message id. Raises MailError."""
        mail = Mail(self.sender, To(address), Subject(written.subject))
        mail.content = [Content("text/plain", written.text), Content("text/html", written.html)]
        mail.category = Category(CATEGORY)
        for name, value in arguments.items():
            mail.add_custom_arg(CustomArg(name, value))
        try:
            answer = self.courier.send(mail)
        except HTTPError as error:
            raise read_status(error.status_code) from None
        except (OSError, HTTPException) as error:
            raise UncertainError(f"no answer from SendGrid ({type(error).__name__})") from None
        found = answer.headers.get("X-Message-Id")
        return str(found) if found else None


def read_status(status: int) -> MailError:
    if status == 429:
        return BusyError("SendGrid answered 429")
    if 400 <= status < 500:
        return RejectedError(f"SendGrid answered {status}")
    return UncertainError(f"SendGrid answered {status}")
