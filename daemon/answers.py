"""What became of a message, whoever carried it: SendGrid, Whop's chat, Discord, Slack."""

from __future__ import annotations

from datetime import timedelta


class MailError(Exception):
    """Base. str() is safe to log: no address is in it."""


class RejectedError(MailError):
    """The mail was not taken and never will be."""


class BusyError(MailError):
    """The mail was not taken; it may be tried again, after `retry_after` where that was said."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UncertainError(MailError):
    """It may have been taken: never send it again."""
