"""What the outboxes need from a client for email, chat or posts."""

from __future__ import annotations

from typing import Protocol

from mail.messages import RenderedMessage
from recovery.delivery import Delivery


class EmailClient(Protocol):
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
        category: str = ...,
    ) -> Delivery: ...


class ChatClient(Protocol):
    def send(self, company_id: str, user_id: str, content: str) -> Delivery: ...


class PostClient(Protocol):
    def send(self, post_url: str, text: str) -> Delivery: ...
