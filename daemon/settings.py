"""What the daemon reads from the environment."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr, model_validator

from db.settings import PolicySettings


class DaemonSettings(PolicySettings):
    required_in_production: ClassVar[tuple[str, ...]] = ("database_url", "whop_api_key")

    whop_api_key: SecretStr = SecretStr("")
    whop_api_url: str = "https://api.whop.com/api/v1"
    whop_api_version: str = "2026-10-15-1"
    whop_company_id: str | None = None
    whop_rate_per_minute: int = Field(540, ge=1, le=600)
    sendgrid_api_key: SecretStr = SecretStr("")
    sendgrid_api_url: str = "https://api.sendgrid.com"
    email_enabled: bool = False
    email_from: str = ""
    frontend_url: str = "http://localhost:3000"

    @model_validator(mode="after")
    def check_email(self) -> DaemonSettings:
        if self.email_enabled and not (self.sendgrid_api_key and self.email_from):
            raise ValueError("EMAIL_ENABLED needs SENDGRID_API_KEY and EMAIL_FROM")
        return self
