"""What the dashboard reads from the environment. It needs no secret but the database's."""

from __future__ import annotations

from db.settings import PolicySettings


class DashboardSettings(PolicySettings):
    whop_company_id: str | None = None
    base_url: str = "http://localhost:8000"
    email_enabled: bool = False
    """Only shown: the daemon sends."""
