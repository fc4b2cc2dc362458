"""The receiver's settings, read from the environment."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from pydantic import SecretStr, field_validator

from db.settings import MailSettings
from mail.signature import load_key

BETWEEN = "put one comma between two of them, and none before or after"


class WebhookSettings(MailSettings):
    required_in_production: ClassVar[tuple[str, ...]] = (
        "database_url",
        "whop_webhook_secret",
        "api_token",
    )

    whop_webhook_secret: SecretStr = SecretStr("")
    whop_company_id: str | None = None
    # Only to find the sandbox, in development.
    whop_api_url: str = "https://api.whop.com/api/v1"
    api_token: SecretStr = SecretStr("")
    frontend_url: str = "http://localhost:3000"
    sendgrid_webhook_key: str = ""

    @field_validator("whop_webhook_secret")
    @classmethod
    def check_webhook_secrets(cls, value: SecretStr) -> SecretStr:
        for secret in split_list(value.get_secret_value()):
            if len(secret.split()) > 1:
                raise ValueError(f"there is a blank in a secret: {BETWEEN}")
        return value

    @field_validator("sendgrid_webhook_key")
    @classmethod
    def check_sendgrid_webhook_key(cls, value: str) -> str:
        for key in split_list(value):
            load_key(key)
        return value

    @cached_property
    def webhook_secrets(self) -> tuple[str, ...]:
        """A delivery may be signed with any of them."""
        return split_list(self.whop_webhook_secret.get_secret_value())

    @cached_property
    def sendgrid_webhook_keys(self) -> tuple[str, ...]:
        return split_list(self.sendgrid_webhook_key)

    @property
    def default_company(self) -> str | None:
        """The company of events that name none. Whop's always name one; hand-made ones may not."""
        return self.whop_company_id or ("biz_development" if self.in_development else None)


def split_list(text: str) -> tuple[str, ...]:
    """Secrets with commas between them, so that a new one is accepted before the old one is gone.
    Raises ValueError."""
    parts = tuple(part.strip() for part in text.split(",")) if text else ()
    # An empty secret could be forged by anybody.
    if "" in parts:
        raise ValueError(f"one of them is empty: {BETWEEN}")
    return parts
