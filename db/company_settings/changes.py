"""What a choice was and what it is now, for the audit list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db import audit_log
from recovery.status import Action

# Addresses, secrets, and what may hold one: of these it is only noted that they changed.
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
    """What differs, by its name. Where nothing does, nothing is recorded."""
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
