"""Sends messages to members through Whop's support chat. Each message is sent once.

Our API key needs `support_chat:create` and `support_chat:message:create`. If one is missing, the
hourly sync reports it (`syncs.missing_permissions`), and messages wait until it is granted.
"""

from __future__ import annotations

from recovery.delivery import (
    Delivery,
    account_refused,
    address_refused,
    put_off,
    refused,
    sent,
    unknown,
)
from whop.client import WhopClient
from whop.errors import (
    AccessError,
    BusyError,
    ConflictError,
    DownError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    WhopError,
)


class SupportChat:
    def __init__(self, whop: WhopClient) -> None:
        self.whop = whop

    def send(self, company_id: str, user_id: str, content: str) -> Delivery:
        """`content` is Markdown."""
        try:
            channel_id = self.whop.open_support_chat(company_id, user_id)
        except WhopError as error:
            return interpret_open_error(error)
        try:
            return sent(self.whop.send_chat_message(channel_id, content))
        except WhopError as error:
            return interpret_send_error(error)


def interpret_open_error(error: WhopError) -> Delivery:
    """Nothing has been sent yet, so it is safe to try again even when Whop did not answer. The call
    names the company and the member alone: what refuses it refuses the member."""
    match error:
        case NoAnswerError():
            return put_off(str(error))
        case RefusedError():
            return address_refused(str(error))
        case _:
            return interpret_send_error(error)


def interpret_send_error(error: WhopError) -> Delivery:
    match error:
        case BusyError():
            return put_off(str(error), error.wait)
        case DownError():
            return put_off(str(error))
        case NoAnswerError():
            return unknown(str(error))
        case AccessError():
            return account_refused(str(error))
        # The chat is gone, or takes no message.
        case NotFoundError() | ConflictError():
            return address_refused(str(error))
        case _:
            return refused(str(error))
