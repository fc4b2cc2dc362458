"""The daemon's settings, read from the environment."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr

from db.company_settings.addresses import AddressError, parse_sender
from db.settings import MailSettings


class DaemonSettings(MailSettings):
    required_in_production: ClassVar[tuple[str, ...]] = ("database_url", "whop_api_key")

    whop_api_key: SecretStr = SecretStr("")
    whop_api_url: str = "https://api.whop.com/api/v1"
    whop_api_version: str = "2026-10-15-1"
    whop_company_id: str | None = None
    whop_rate_per_minute: int = Field(540, ge=1, le=600)
    sendgrid_api_key: SecretStr = SecretStr("")
    sendgrid_api_url: str = "https://api.sendgrid.com"
    sendgrid_sandbox_mode: bool = False
    email_from: str = ""
    base_url: str = "http://localhost:8000"
    frontend_url: str = "http://localhost:3000"

    def missing_for_mail(self) -> list[str]:
        missing = [] if self.sendgrid_api_key else ["SENDGRID_API_KEY"]
        missing += self.missing_sender()
        missing += super().missing_for_mail()
        if not (self.in_development or self.base_url.startswith("https://")):
            missing.append("a BASE_URL that begins with https://")
        return missing

    def missing_sender(self) -> list[str]:
        if not self.email_from:
            return ["EMAIL_FROM"]
        try:
            parse_sender(self.email_from)
        except AddressError:
            return ["an EMAIL_FROM that is an address, or Name <address>"]
        return []
