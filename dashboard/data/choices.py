"""What the settings page reads and writes: three groups of settings, and the activity log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy.orm import Session

from dashboard.data.database import Unavailable, read, write
from dashboard.settings import DashboardSettings
from db import audit_log
from db.audit_log import DASHBOARD
from db.company_settings.changes import Changes
from db.company_settings.faults import find_setting_faults
from db.company_settings.messaging import (
    DEFAULT_MESSAGING_SETTINGS,
    MessagingSettings,
    find_messaging_settings,
    save_messaging_settings,
)
from db.company_settings.notifications import (
    DEFAULT_NOTIFICATION_SETTINGS,
    NotificationSettings,
    find_notification_settings,
    save_notification_settings,
)
from db.company_settings.recovery import (
    DEFAULT_RECOVERY_SETTINGS,
    RecoverySettings,
    find_recovery_settings,
    lock_company,
    save_recovery_settings,
)
from db.company_settings.time_zones import list_time_zones
from db.company_settings.validity import keep_valid
from db.models import AuditEntry
from db.reporting.holdout_cost import MonthOfWork, measure_month
from db.session import now

Choices: TypeAlias = RecoverySettings | MessagingSettings | NotificationSettings


class Group(StrEnum):
    RECOVERY = "recovery"
    MESSAGING = "messaging"
    NOTIFICATIONS = "notifications"


DEFAULTS: dict[Group, Choices] = {
    Group.RECOVERY: DEFAULT_RECOVERY_SETTINGS,
    Group.MESSAGING: DEFAULT_MESSAGING_SETTINGS,
    Group.NOTIFICATIONS: DEFAULT_NOTIFICATION_SETTINGS,
}
FIND: dict[Group, Callable[[Session, str], Choices]] = {
    Group.RECOVERY: find_recovery_settings,
    Group.MESSAGING: find_messaging_settings,
    Group.NOTIFICATIONS: find_notification_settings,
}


@dataclass(frozen=True, slots=True)
class SavedSettings:
    company_id: str
    kept: Mapping[Group, Choices]
    # Of what is saved and does not count, by the setting's name.
    faults: Mapping[str, str]
    zones: frozenset[str]
    month: MonthOfWork
    entries: tuple[AuditEntry, ...]


def read_choices(
    settings: DashboardSettings, company_id: str | None
) -> SavedSettings | Unavailable | None:
    """None: there is no company yet."""
    if company_id is None:
        return None

    def gather(session: Session) -> SavedSettings:
        kept = {group: find(session, company_id) for group, find in FIND.items()}
        return SavedSettings(
            company_id,
            kept,
            find_setting_faults(session, company_id),
            list_time_zones(session),
            measure_month(session, company_id, now()),
            tuple(audit_log.list_entries(session, company_id)),
        )

    return read(settings, gather)


def save_choices(
    settings: DashboardSettings,
    company_id: str,
    group: Group,
    changes: Mapping[str, Any],
    at: datetime,
) -> tuple[str, ...] | Unavailable:
    """The names of what is different now. Only `changes` are kept: what somebody else has saved
    meanwhile stays. Raises ChoiceError, and keeps nothing then."""

    def save(session: Session) -> tuple[str, ...]:
        lock_company(session, company_id)
        after = replace(FIND[group](session, company_id), **changes)
        return tuple(save_group(session, company_id, after, at, settings.in_development))

    return write(settings, save)


def save_group(
    session: Session, company_id: str, values: Choices, at: datetime, in_development: bool
) -> Changes:
    match values:
        case RecoverySettings():
            return save_recovery_settings(session, company_id, values, DASHBOARD, at)
        case MessagingSettings():
            return save_messaging_settings(session, company_id, values, DASHBOARD, at)
        case NotificationSettings():
            return save_notification_settings(
                session, company_id, values, DASHBOARD, at, in_development
            )


def find_faults(values: Choices, default: Choices, in_development: bool) -> dict[str, str]:
    """The error of each wrong setting, by its name."""
    return keep_valid(values, default, lambda tried: check(tried, in_development))[1]


def check(values: Choices, in_development: bool) -> None:
    """Raises ChoiceError."""
    if isinstance(values, NotificationSettings):
        values.check(in_development)
    else:
        values.check()
