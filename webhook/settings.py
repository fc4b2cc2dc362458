"""The receiver's settings, read from the environment."""

from __future__ import annotations

from typing import ClassVar

from pydantic import SecretStr, field_validator

from db.settings import MailSettings
from mail.events import load_key


class WebhookSettings(MailSettings):
    required_in_production: ClassVar[tuple[str, ...]] = (
        "database_url",
        "whop_webhook_secret",
        "api_token",
    )

    whop_webhook_secret: SecretStr = SecretStr("")
    whop_company_id: str | None = None
    api_token: SecretStr = SecretStr("")
    frontend_url: str = "http://localhost:3000"
    sendgrid_webhook_key: str = ""

    @field_validator("sendgrid_webhook_key")
    @classmethod
    def check_sendgrid_webhook_key(cls, value: str) -> str:
        if value:
            load_key(value)
        return value

    @property
    def default_company(self) -> str | None:
        """The company of events that name none. Whop's always name one; hand-made ones may not."""
        return self.whop_company_id or ("biz_development" if self.in_development else None)
