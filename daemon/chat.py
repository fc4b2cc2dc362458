"""Whop's support chat as a way to the member: one message, sent once, and what its end means.

Our key needs `support_chat:create` and `support_chat:message:create`. Where one is missing the
reading back says so (`syncs.missing_permissions`), and a message is refused.
"""

from __future__ import annotations

from recovery.delivery import Delivery, put_off, refused, sent, unknown
from whop.client import WhopClient
from whop.errors import BusyError, DownError, NoAnswerError, WhopError


class SupportChat:
    def __init__(self, whop: WhopClient) -> None:
        self.whop = whop

    def send(self, company_id: str, user_id: str, content: str) -> Delivery:
        """`content` is Markdown."""
        try:
            channel_id = self.whop.open_support_chat(company_id, user_id)
        except WhopError as error:
            return read_unopened(error)
        try:
            return sent(self.whop.send_chat_message(channel_id, content))
        except WhopError as error:
            return read_unsent(error)


def read_unopened(error: WhopError) -> Delivery:
    """Whatever became of it, nothing was written to anybody: it may be asked for again."""
    return put_off(str(error)) if isinstance(error, NoAnswerError) else read_unsent(error)


def read_unsent(error: WhopError) -> Delivery:
    match error:
        case BusyError() | DownError():
            return put_off(str(error))
        case NoAnswerError():
            return unknown(str(error))
        case _:
            return refused(str(error))
