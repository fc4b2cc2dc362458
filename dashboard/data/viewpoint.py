"""What the pages know of how the daemon works, for foretelling what happens next."""

from __future__ import annotations

from datetime import datetime

from dashboard.settings import DashboardSettings
from db.reporting.next_steps import Viewpoint
from recovery.status import Channel

EVERY_CHANNEL = frozenset(Channel)


def choose_viewpoint(
    settings: DashboardSettings, at: datetime, *, exact: bool = False
) -> Viewpoint:
    """Whop's chat is always on."""
    channels = EVERY_CHANNEL if settings.email_enabled else EVERY_CHANNEL - {Channel.EMAIL}
    return Viewpoint(at, settings.rules, channels, exact)
