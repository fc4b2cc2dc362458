"""What a company has saved and cannot be used, as its settings page, its commands and Health tell
it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db.company_settings.messaging import read_messaging_settings
from db.company_settings.notifications import read_notification_settings
from db.company_settings.recovery import read_recovery_settings
from db.company_settings.time_zones import list_time_zones
from db.models import Company


def find_setting_faults(session: Session, company_id: str) -> dict[str, str]:
    """Why each such value does not count, by the setting's name, without the values that are
    private."""
    company = session.get(Company, company_id)
    if company is None:
        return {}
    saved, zones = company.settings, list_time_zones(session)
    found = (
        read_recovery_settings(company.time_zone, saved, zones)[1]
        | read_messaging_settings(saved)[1]
        | read_notification_settings(saved)[1]
    )
    return {name: f"{error}. The saved value is not used" for name, error in found.items()}
