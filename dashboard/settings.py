"""What the dashboard reads from the environment. It needs no secret but the database's."""

from __future__ import annotations

import re

from pydantic import field_validator

from db.settings import PolicySettings

SITE = re.compile(r"https?://(\*\.)?[\w.-]+(:\d+)?")


class DashboardSettings(PolicySettings):
    whop_company_id: str | None = None
    base_url: str = "http://localhost:8000"
    email_enabled: bool = False
    """Only shown: the daemon sends."""
    frame_ancestors: str = ""
    """The sites that may show the dashboard in a frame of theirs, with spaces between."""

    @field_validator("frame_ancestors")
    @classmethod
    def check_frame_ancestors(cls, value: str) -> str:
        # They are a part of a header, where other characters would mean something else.
        sites = value.split()
        if not all(SITE.fullmatch(site) for site in sites):
            raise ValueError("sites with spaces between, such as https://whop.com")
        return " ".join(sites)
