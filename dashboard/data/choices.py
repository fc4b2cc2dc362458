"""What the settings page reads and writes: three groups of choices, and the list of changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy.orm import Session

from dashboard.data.database import Trouble, read, write
from dashboard.settings import DashboardSettings
from db import audit_log
from db.audit_log import DASHBOARD
from db.company_settings.changes import Changes
from db.company_settings.messaging import NO_MANNERS, Manners, find_manners, save_manners
from db.company_settings.notifications import NO_ALERTS, Alerts, find_alerts, save_alerts
from db.company_settings.recovery import (
    NO_TERMS,
    ChoiceError,
    Terms,
    find_terms,
    lock_company,
    save_terms,
)
from db.models import Deed

Choices: TypeAlias = Terms | Manners | Alerts


class Group(StrEnum):
    TERMS = "terms"
    MANNERS = "manners"
    ALERTS = "alerts"


DEFAULTS: dict[Group, Choices] = {
    Group.TERMS: NO_TERMS,
    Group.MANNERS: NO_MANNERS,
    Group.ALERTS: NO_ALERTS,
}
FIND: dict[Group, Callable[[Session, str], Choices]] = {
    Group.TERMS: find_terms,
    Group.MANNERS: find_manners,
    Group.ALERTS: find_alerts,
}


@dataclass(frozen=True, slots=True)
class Chosen:
    company_id: str
    kept: Mapping[Group, Choices]
    deeds: tuple[Deed, ...]


def read_choices(settings: DashboardSettings, company_id: str | None) -> Chosen | Trouble | None:
    """None: there is no company yet."""
    if company_id is None:
        return None

    def gather(session: Session) -> Chosen:
        kept = {group: find(session, company_id) for group, find in FIND.items()}
        return Chosen(company_id, kept, tuple(audit_log.list_deeds(session, company_id)))

    return read(settings, gather)


def save_choices(
    settings: DashboardSettings,
    company_id: str,
    group: Group,
    changes: Mapping[str, Any],
    at: datetime,
) -> tuple[str, ...] | Trouble:
    """The names of what is different now. Only `changes` are kept: what somebody else has chosen
    meanwhile stays. Raises ChoiceError, and keeps nothing then."""

    def save(session: Session) -> tuple[str, ...]:
        lock_company(session, company_id)
        after = replace(FIND[group](session, company_id), **changes)
        return tuple(keep(session, company_id, after, at, settings.in_development))

    return write(settings, save)


def keep(
    session: Session, company_id: str, chosen: Choices, at: datetime, in_development: bool
) -> Changes:
    match chosen:
        case Terms():
            return save_terms(session, company_id, chosen, DASHBOARD, at)
        case Manners():
            return save_manners(session, company_id, chosen, DASHBOARD, at)
        case Alerts():
            return save_alerts(session, company_id, chosen, DASHBOARD, at, in_development)


def find_faults(chosen: Choices, default: Choices, in_development: bool) -> dict[str, str]:
    """What is wrong with each choice, by its name. Each is tried on top of those that are right;
    switches come last, as they may need what the others say."""
    faults: dict[str, str] = {}
    wanted = asdict(chosen)
    right = default
    for name in sorted(wanted, key=lambda name: isinstance(wanted[name], bool)):
        tried = replace(right, **{name: wanted[name]})
        try:
            check(tried, in_development)
        except ChoiceError as error:
            faults[name] = str(error)
        else:
            right = tried
    return faults


def check(chosen: Choices, in_development: bool) -> None:
    """Raises ChoiceError."""
    if isinstance(chosen, Alerts):
        chosen.check(in_development)
    else:
        chosen.check()
