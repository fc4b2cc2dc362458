"""What a setting was and what it is now, for the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db import audit_log
from recovery.status import Action

# Addresses, secrets, and texts that may have one: only the fact that they changed is recorded.
PRIVATE = frozenset({"name", "sender_name", "reply_to", "note", "digest_to", "post_url"})

Changes = dict[str, Any]


def record_changes(
    session: Session,
    company_id: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    actor: str,
    now: datetime,
) -> Changes:
    """Records what differs and returns it by its name. Records nothing where nothing differs."""
    changes = list_changes(before, after)
    if changes:
        audit_log.record(session, company_id, actor, Action.SETTINGS, now, details=changes)
    return changes


def list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    return {
        name: "changed" if name in PRIVATE else {"from": before[name], "to": after[name]}
        for name in after
        if after[name] != before[name]
    }
