"""Memberships in the shape of Whop's dated API versions."""

from typing import Any

from sandbox.model.records import Company, Membership
from sandbox.model.times import iso
from sandbox.wire.current import manage_url, money


def current_membership(
    membership: Membership, company: Company, *, shows_pause: bool = True
) -> dict[str, Any]:
    price = money(membership.price, membership.currency)
    alive = membership.status != "canceled"
    return {
        "id": membership.id,
        "status": membership.status,
        "account": {"id": company.id, "title": company.title, "route": company.route},
        "member_id": membership.member_id,
        "member": {"access_level": "customer" if alive else "no_access"},
        "user_id": membership.user_id,
        "plan_id": membership.plan_id,
        "product_id": membership.product_id,
        "product": {"id": membership.product_id, "title": membership.product_title},
        "initial_price": price,
        "renewal_price": price,
        "billing_period_days": 30,
        "collection_method": "charge_automatically",
        "cancel_at_period_end": membership.cancel_at_period_end,
        "canceled_at": iso(membership.canceled_at) if membership.canceled_at else None,
        "created_at": iso(membership.created_at),
        "updated_at": iso(membership.updated_at),
        "current_period_start": iso(membership.period_start),
        "current_period_end": iso(membership.period_end),
        "manage_url": manage_url(membership),
        "metadata": {},
        **describe_action(membership, shows_pause),
    }


def describe_action(membership: Membership, shows_pause: bool) -> dict[str, Any]:
    """Dated versions have no flag of a pause; it is the newest thing that happened to it."""
    if membership.status == "canceled":
        name, at = "canceled_on", membership.canceled_at
    elif membership.paused_at is not None and shows_pause:
        name, at = "paused_at", membership.paused_at
    elif membership.cancel_at_period_end:
        name, at = "canceling_on", membership.period_end
    elif membership.status == "past_due":
        name, at = "past_due", membership.period_end
    else:
        name, at = "renewing_on", membership.period_end
    return {"most_recent_action": name, "most_recent_action_at": iso(at) if at else None}
