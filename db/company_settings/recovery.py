"""A company's name, time zone, holdout and backup card. docs/creators/settings.md explains each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.company_settings.changes import Changes, record_changes
from db.company_settings.time_zones import FALLBACK, list_python_zones, list_time_zones
from db.company_settings.validity import OBSERVED, ChoiceError, keep_valid, list_values
from db.models import Company
from recovery.retrying.whop_habits import UNKNOWN_HABITS, WhopHabits
from recovery.wording import LONGEST_NAME, make_plain

MOST_HELD_OUT = 50
# Where Whop does not name the kind of payment method.
UNKNOWN_METHOD = "unknown"
Habits = Mapping[str, WhopHabits]


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """`holdout_percent`: the share of members left to Whop alone, to measure our lift.
    `backup_card`: whether another saved card of the member is tried once. `explores`: whether other
    good hours are tried now and then. `whop_habits`: not chosen but observed, by kind of payment
    method (db/ledger/whop_habits.py)."""

    time_zone: str = FALLBACK
    holdout_percent: int = 0
    backup_card: bool = False
    explores: bool = False
    whop_habits: Habits = field(default_factory=dict, compare=False, metadata={OBSERVED: True})

    def find_habits(self, payment_method_type: str | None) -> WhopHabits:
        return self.whop_habits.get(payment_method_type or UNKNOWN_METHOD, UNKNOWN_HABITS)

    def check(self, zones: Collection[str] | None = None) -> None:
        """`zones`: those that the database knows too; None: only Python is asked. Raises
        ChoiceError."""
        if self.time_zone not in list_python_zones():
            raise ChoiceError(
                f"{make_plain(self.time_zone, LONGEST_NAME) or 'nothing'} is not a time zone; "
                "choose one such as Europe/Berlin"
            )
        if zones is not None and self.time_zone not in zones:
            raise ChoiceError(
                f"the database does not know the time zone {self.time_zone}; choose another one, "
                "such as Europe/Berlin"
            )
        if not 0 <= self.holdout_percent <= MOST_HELD_OUT:
            raise ChoiceError(
                f"the control group must be between 0 and {MOST_HELD_OUT} percent of members"
            )

    def holds_out(self, company_id: str, member_id: str | None) -> bool | None:
        """Whether the member is in the holdout. None: no holdout is running.

        Always the same for one member: a larger share adds members and removes none.
        """
        if self.holdout_percent == 0:
            return None
        if member_id is None:
            return False
        drawn = sha256(f"{company_id}/{member_id}".encode()).digest()
        return int.from_bytes(drawn[:4]) < self.holdout_percent / 100 * 2**32


DEFAULT_RECOVERY_SETTINGS = RecoverySettings()


def read_recovery_settings(
    time_zone: str, settings: Mapping[str, Any], zones: Collection[str]
) -> tuple[RecoverySettings, dict[str, str]]:
    """What counts, and the error of each saved value that cannot be used, by its name."""
    kept = settings if isinstance(settings, Mapping) else {}
    saved = RecoverySettings(
        time_zone,
        kept.get("holdout_percent", DEFAULT_RECOVERY_SETTINGS.holdout_percent),
        kept.get("backup_card", DEFAULT_RECOVERY_SETTINGS.backup_card),
        kept.get("explores", DEFAULT_RECOVERY_SETTINGS.explores),
    )
    return keep_valid(saved, DEFAULT_RECOVERY_SETTINGS, lambda tried: tried.check(zones))


def find_recovery_settings(session: Session, company_id: str) -> RecoverySettings:
    company = session.get(Company, company_id)
    if company is None:
        return DEFAULT_RECOVERY_SETTINGS
    return read_with_habits(company, list_time_zones(session))


def read_with_habits(company: Any, zones: Collection[str]) -> RecoverySettings:
    """Of a company, or a row with the same columns."""
    chosen, _ = read_recovery_settings(company.time_zone, company.settings, zones)
    return replace(chosen, whop_habits=read_habits(company.whop_habits))


def read_habits(kept: Mapping[str, Any]) -> Habits:
    """As db/ledger/whop_habits.py keeps them, by kind of payment method."""
    return {
        method: WhopHabits(timedelta(seconds=gap) if gap else None, retries)
        for method, (gap, retries) in kept.items()
    }


def add_companies(session: Session, ids: set[str]) -> None:
    if ids:
        rows = [
            {"id": company_id, "time_zone": DEFAULT_RECOVERY_SETTINGS.time_zone}
            for company_id in sorted(ids)
        ]
        session.execute(insert(Company).on_conflict_do_nothing(), rows)


def lock_company(session: Session, company_id: str) -> Company:
    """The company as it is now. Nobody else can change its settings until the transaction ends."""
    add_companies(session, {company_id})
    session.flush()
    return session.get_one(Company, company_id, with_for_update=True, populate_existing=True)


def load_recovery_settings(session: Session, ids: set[str]) -> dict[str, RecoverySettings]:
    """The settings of all these companies; unknown companies are added."""
    add_companies(session, ids)
    found = session.execute(
        select(Company.id, Company.time_zone, Company.settings, Company.whop_habits).where(
            Company.id.in_(ids)
        )
    )
    zones = list_time_zones(session)
    return {row.id: read_with_habits(row, zones) for row in found}


def save_recovery_settings(
    session: Session,
    company_id: str,
    recovery_settings: RecoverySettings,
    actor: str,
    now: datetime,
) -> Changes:
    """What is scheduled already keeps its time. Raises ChoiceError."""
    zones = list_time_zones(session)
    recovery_settings.check(zones)
    company = lock_company(session, company_id)
    before, _ = read_recovery_settings(company.time_zone, company.settings, zones)
    company.time_zone = recovery_settings.time_zone
    company.settings = company.settings | {
        "holdout_percent": recovery_settings.holdout_percent,
        "backup_card": recovery_settings.backup_card,
        "explores": recovery_settings.explores,
    }
    chosen = dict(list_values(recovery_settings))
    return record_changes(session, company_id, dict(list_values(before)), chosen, actor, now)


def find_chosen_name(session: Session, company_id: str) -> str | None:
    """The name that the operator chose, else the one at Whop. None: neither is known yet."""
    return session.scalar(select(Company.name).where(Company.id == company_id))


def save_name(
    session: Session, company_id: str, name: str | None, actor: str, now: datetime
) -> Changes:
    """Saves the operator's choice. None: use the name at Whop. Raises ChoiceError."""
    if name is not None and (not name or name != make_plain(name, LONGEST_NAME)):
        raise ChoiceError(f"a name must be one line of up to {LONGEST_NAME} visible characters")
    company = lock_company(session, company_id)
    before, company.name = company.name, name
    return record_changes(session, company_id, {"name": before}, {"name": name}, actor, now)


def save_whop_name(session: Session, company_id: str, name: str) -> None:
    """Saves the name at Whop, if the company has none yet."""
    unnamed = update(Company).where(Company.id == company_id, Company.name.is_(None))
    session.execute(unnamed.values(name=make_plain(name, LONGEST_NAME) or None))


def list_company_ids(session: Session, limit: int | None = None) -> list[str]:
    """In the order of the ids."""
    return list(session.scalars(select(Company.id).order_by(Company.id).limit(limit)))


def is_only_company(session: Session) -> bool:
    """Whether there is no second company. If so, events that name no company are its own."""
    return len(list_company_ids(session, limit=2)) < 2
