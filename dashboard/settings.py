"""The dashboard's settings, read from the environment. Its only secret is the database's."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import field_validator, model_validator

from dashboard.origins import Site, read_origin
from db.settings import PolicySettings

ANCESTOR = re.compile(r"https?://(\*\.)?[\w.-]+(:\d+)?")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
SENT_BY_ANYBODY = re.compile(
    "host|origin|referer|user-agent|cookie|connection|upgrade|forwarded|via|x-real-ip"
    "|x-forwarded-(for|proto|host|port|server|scheme)|(accept|content|sec)(-.*)?"
)
NO_DOOR = (
    "production needs TRUSTED_USER_HEADER, the header in which your proxy names whom it has signed "
    "in, such as X-Forwarded-Email (or DASHBOARD_WITHOUT_SIGN_IN=true, where nobody but you can "
    "reach the dashboard)"
)


class DashboardSettings(PolicySettings):
    """For the pages."""

    whop_company_id: str | None = None
    base_url: str = "http://localhost:8000"
    # Only shown: the daemon sends.
    email_enabled: bool = False


class ServerSettings(DashboardSettings):
    """For the server around them: who is let in, and from where."""

    required_in_production: ClassVar[tuple[str, ...]] = ("database_url", "frontend_url")

    frontend_url: str = "http://localhost:3000"
    trusted_user_header: str = ""
    dashboard_without_sign_in: bool = False
    # The sites that may show the dashboard in a frame of theirs, with spaces between.
    frame_ancestors: str = ""

    @field_validator("frontend_url")
    @classmethod
    def check_frontend_url(cls, value: str) -> str:
        read_origin(value)
        return value

    @field_validator("trusted_user_header")
    @classmethod
    def check_trusted_user_header(cls, value: str) -> str:
        if value and not HEADER.fullmatch(value):
            raise ValueError("the name of one header, such as X-Forwarded-Email")
        if SENT_BY_ANYBODY.fullmatch(value.lower()):
            raise ValueError("a header that only your proxy sends: this one comes with any request")
        return value

    @field_validator("frame_ancestors")
    @classmethod
    def check_frame_ancestors(cls, value: str) -> str:
        # They are a part of a header, where other characters would mean something else.
        sites = value.split()
        if not all(ANCESTOR.fullmatch(site) for site in sites):
            raise ValueError("sites with spaces between, such as https://whop.com")
        return " ".join(sites)

    @model_validator(mode="after")
    def check_door(self) -> ServerSettings:
        if self.trusted_user_header and self.dashboard_without_sign_in:
            raise ValueError("TRUSTED_USER_HEADER or DASHBOARD_WITHOUT_SIGN_IN=true, not both")
        if not (self.in_development or self.trusted_user_header or self.dashboard_without_sign_in):
            raise ValueError(NO_DOOR)
        return self

    @property
    def site(self) -> Site:
        return Site(read_origin(self.frontend_url), self.in_development)
