"""What a creator is notified of, and where: docs/creators/notifications.md has each setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.company_settings.addresses import is_address
from db.company_settings.changes import Changes, record_changes
from db.company_settings.recovery import lock_company
from db.company_settings.validity import ChoiceError, keep_valid, read_group
from db.models import Company

KEY = "notifications"


class Platform(StrEnum):
    DISCORD = "Discord"
    SLACK = "Slack"


# They match the whole address, so that no other host, port, user or query can be in it.
PATHS = {
    Platform.DISCORD: r"/api/(?:v\d{1,2}/)?webhooks/\d{1,30}/[A-Za-z0-9_-]{1,200}",
    Platform.SLACK: r"/services/[A-Za-z0-9]{1,50}/[A-Za-z0-9]{1,50}/[A-Za-z0-9]{1,100}",
}
HOSTS = {
    Platform.DISCORD: r"https://(?:discord|discordapp)\.com",
    Platform.SLACK: r"https://hooks\.slack\.com",
}
SANDBOX = r"http://(?:localhost|127\.0\.0\.1)(?::\d{1,5})?"
REFUSED = (
    "the webhook must be one from Discord (https://discord.com/api/webhooks/…) or Slack "
    "(https://hooks.slack.com/services/…)"
)


def find_platform(post_url: str, in_development: bool = False) -> Platform:
    """The platform whose webhook it is. Raises ChoiceError, which does not repeat the address."""
    for platform, path in PATHS.items():
        hosts = (HOSTS[platform], SANDBOX) if in_development else (HOSTS[platform],)
        if any(re.fullmatch(host + path, post_url, re.ASCII) for host in hosts):
            return platform
    raise ChoiceError(REFUSED)


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """`post_url` is a secret, since whoever has it can post. It is in no repr and no log."""

    digest: bool = False
    digest_to: str | None = None
    post_url: str | None = field(default=None, repr=False)
    on_recovery: bool = False
    on_problem: bool = False

    def check(self, in_development: bool = False) -> None:
        """Raises ChoiceError. `in_development`: the sandbox's own address is allowed."""
        if self.digest_to is not None and not is_address(self.digest_to):
            raise ChoiceError(
                "the digest address must be one email address, such as jo@example.com"
            )
        if self.post_url is not None:
            find_platform(self.post_url, in_development)
        if self.digest and self.digest_to is None:
            raise ChoiceError("the weekly digest needs a digest address")
        if (self.on_recovery or self.on_problem) and self.post_url is None:
            raise ChoiceError("posts need a Discord or Slack webhook")

    def describe_post_url(self) -> str:
        """Enough to recognize it, without the secret part."""
        if self.post_url is None:
            return "none"
        host = self.post_url.split("/")[2]
        return f"{host}, ending in {self.post_url[-4:]}"


DEFAULT_NOTIFICATION_SETTINGS = NotificationSettings()


def read_notification_settings(
    settings: Mapping[str, Any],
) -> tuple[NotificationSettings, dict[str, str]]:
    """What counts, and the error of each saved value that cannot be used, by its name. An address
    that is none counts here: it is refused, and that is told, whenever something is sent to it."""
    kept = read_group(settings, KEY)
    defaults = asdict(DEFAULT_NOTIFICATION_SETTINGS)
    saved = NotificationSettings(**{name: kept.get(name, defaults[name]) for name in defaults})
    counts, odd = keep_valid(saved, DEFAULT_NOTIFICATION_SETTINGS, lambda tried: None)
    # Whether the sandbox's address may be used was decided when it was saved.
    _, refused = keep_valid(
        counts, DEFAULT_NOTIFICATION_SETTINGS, lambda tried: tried.check(in_development=True)
    )
    return counts, odd | refused


def find_notification_settings(session: Session, company_id: str) -> NotificationSettings:
    settings = session.scalar(select(Company.settings).where(Company.id == company_id))
    return read_notification_settings(settings or {})[0]


def find_recoveries_since(session: Session, company_id: str) -> datetime | None:
    """Since when recoveries are posted; earlier ones are not. None: they are not posted."""
    since = session.scalar(
        select(Company.settings[KEY]["recoveries_since"].astext).where(Company.id == company_id)
    )
    try:
        moment = datetime.fromisoformat(since or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def save_notification_settings(
    session: Session,
    company_id: str,
    notifications: NotificationSettings,
    actor: str,
    now: datetime,
    in_development: bool = False,
) -> Changes:
    """Raises ChoiceError. `in_development`: the sandbox's own address is allowed."""
    notifications.check(in_development)
    company = lock_company(session, company_id)
    known = read_group(company.settings, KEY)
    before = asdict(read_notification_settings(company.settings)[0])
    after = asdict(notifications)
    since = known.get("recoveries_since") if known.get("on_recovery") else now.isoformat()
    kept = after | ({"recoveries_since": since} if notifications.on_recovery else {})
    company.settings = company.settings | {KEY: kept}
    return record_changes(session, company_id, before, after, actor, now)


def list_notified(session: Session) -> list[str]:
    """Ids of the companies that ever saved these settings."""
    query = select(Company.id).where(Company.settings.has_key(KEY)).order_by(Company.id)
    return list(session.scalars(query))
