"""Whop's support chat as a way to the member: one message, sent once, and what its end means.

Our key needs `support_chat:create` and `support_chat:message:create`. Where one is missing the
reading back says so (`syncs.missing_permissions`), and a message is refused.
"""

from __future__ import annotations

from daemon.answers import BusyError, RejectedError, UncertainError
from whop import errors
from whop.client import WhopClient
from whop.errors import WhopError

NOT_SENT = (errors.BusyError, errors.DownError)


class SupportChat:
    """Raises the MailErrors of the mailer: an outbox need not know which channel it was."""

    def __init__(self, whop: WhopClient) -> None:
        self.whop = whop

    def send(self, company_id: str, user_id: str, content: str) -> str:
        """Returns Whop's message id. `content` is Markdown."""
        channel_id = self.open(company_id, user_id)
        try:
            return self.whop.send_chat_message(channel_id, content)
        except NOT_SENT as error:
            raise BusyError(str(error)) from None
        except errors.NoAnswerError as error:
            raise UncertainError(str(error)) from None
        except WhopError as error:
            raise RejectedError(str(error)) from None

    def open(self, company_id: str, user_id: str) -> str:
        """Whatever became of it, nothing was written to anybody: it may be asked for again."""
        try:
            return self.whop.open_support_chat(company_id, user_id)
        except (*NOT_SENT, errors.NoAnswerError) as error:
            raise BusyError(str(error)) from None
        except WhopError as error:
            raise RejectedError(str(error)) from None
