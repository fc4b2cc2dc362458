"""Reads memberships and disputes, in either shape, into facts with a time of their own.

Current payloads have flat ids and `most_recent_action`; legacy ones nested objects and
`payment_collection_paused`. Unknown fields and values are ignored.
"""

from __future__ import annotations

from datetime import datetime

from recovery.reports import DisputeReport, MembershipReport
from recovery.standing import ALERT, Renewal
from whop.values import (
    Json,
    PayloadError,
    flag,
    ident,
    part,
    read_amount,
    require_ident,
    text,
    time,
)

ACTIVATED, DEACTIVATED = "membership.activated", "membership.deactivated"
ENDED = frozenset({"canceled", "expired"})
# It is not bought yet.
DRAFT = "drafted"
PAUSED = "paused_at"
# Where an inquiry may end, too, without the words of one.
RULINGS = frozenset({"won", "lost", "prevented"})
# How a membership's id begins.
MEMBERSHIP = "mem_"
# Where every member can manage billing, for when Whop gives no link of the membership's own.
MEMBERSHIPS_PAGE = "https://whop.com/@me/settings/memberships"


def read_membership(
    data: Json, observed_at: datetime, company: str, kind: str = ""
) -> MembershipReport:
    """`kind`: the event's type, empty for the API. Raises PayloadError."""
    renewal, paused = read_renewal(data, kind), read_pause(data)
    action_at = time(data, "most_recent_action_at")
    canceled_at = time(data, "canceled_at") if renewal is Renewal.CANCELED else None
    return MembershipReport(
        membership_id=require_ident(data, "id", "data."),
        company_id=company,
        observed_at=observed_at,
        renewal=renewal,
        since=canceled_at or observed_at,
        paused=paused,
        paused_at=min(action_at or observed_at, observed_at),
        member_id=ident(data, "member_id") or ident(part(data, "member"), "id"),
        user_id=ident(data, "user_id") or ident(part(data, "user"), "id"),
        product_id=ident(data, "product_id") or ident(part(data, "product"), "id"),
        started_at=read_start(data, observed_at, kind),
    )


def read_renewal(data: Json, kind: str) -> Renewal | None:
    """The event's type counts even where the status is missing or lags behind."""
    status, canceled = text(data, "status"), flag(data, "cancel_at_period_end")
    if kind == DEACTIVATED or status in ENDED:
        return Renewal.ENDED
    if canceled or status == "canceling":
        return Renewal.CANCELED
    return Renewal.CONTINUES if canceled is False or kind == ACTIVATED else None


def read_pause(data: Json) -> bool | None:
    """Dated versions have no flag: there the newest thing that happened to it is the pause."""
    paused = flag(data, "payment_collection_paused")
    if paused is not None or "most_recent_action" not in data:
        return paused
    return text(data, "most_recent_action") == PAUSED


def read_start(data: Json, observed_at: datetime, kind: str) -> datetime | None:
    if text(data, "status") == DRAFT:
        return None
    return time(data, "created_at") or (observed_at if kind == ACTIVATED else None)


def read_dispute(
    data: Json, observed_at: datetime, company: str, kind: str = ""
) -> DisputeReport | None:
    """Reads a dispute or an alert. Some have payment and buyer as objects, others only the
    payment's id. None: an alert that Whop could match to no payment.

    Raises PayloadError.
    """
    payment, buyer = part(data, "payment"), part(data, "buyer")
    payment_id = ident(data, "payment_id") or ident(payment, "id")
    alert = kind.startswith("dispute_alert")
    if payment_id is None and alert:
        return None
    if payment_id is None:
        raise PayloadError("data.payment_id", "is missing")
    member_id = ident(buyer, "member_id") or ident(part(payment, "member"), "id")
    # Whop's documentation says that a buyer's `member_id` begins like a membership's.
    is_membership = member_id is not None and member_id.startswith(MEMBERSHIP)
    return DisputeReport(
        payment_id=payment_id,
        company_id=company,
        status=ALERT if alert else read_dispute_status(data),
        observed_at=observed_at,
        amount=read_amount(data.get("amount")),
        currency=(text(data, "currency") or "").lower() or None,
        opened_at=time(data, "created_at"),
        member_id=member_id,
        user_id=ident(buyer, "user_id") or ident(part(payment, "user"), "id"),
        membership_id=ident(part(payment, "membership"), "id")
        or (member_id if is_membership else None),
    )


def read_dispute_status(data: Json) -> str:
    status = text(data, "status") or "needs_response"
    inquiry = flag(data, "inquiry") and not status.startswith("warning_")
    return f"warning_{status}" if inquiry and status not in RULINGS else status


def read_substatus(data: Json) -> str | None:
    """What a payment tells of the dispute about it, in the same words. None: nothing."""
    substatus = text(data, "substatus") or ""
    if substatus.startswith("dispute_"):
        return substatus.removeprefix("dispute_")
    if "dispute" in substatus:
        return substatus
    return ALERT if data.get("dispute_alerted_at") else None
