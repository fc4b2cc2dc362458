"""Reads parameters from a request's query or body. Raises ApiError."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.wire.exchange import bad_request

CANCELING = "json_extract(document, '$.cancel_at_period_end')"
BUCKETS = {
    **{one: f"status = '{one}' and not {CANCELING}" for one in ("active", "trialing", "past_due")},
    **{one: f"status = '{one}'" for one in ("completed", "canceled", "expired")},
    "canceling": f"{CANCELING} and status <> 'canceled'",
    "paused": "json_extract(document, '$.paused_at') is not null and status <> 'canceled'",
    # There are none of these in the sandbox.
    **dict.fromkeys(("expiring", "one_time", "unclaimed", "banned"), "false"),
}


def read_card(body: bytes) -> str:
    try:
        match json.loads(body):
            case {"payment_method_id": str(method_id), **rest} if not rest:
                return method_id
    except ValueError:
        raise bad_request("invalid_json", "The body is not JSON") from None
    message = "The sandbox changes nothing of a membership but its payment_method_id"
    raise bad_request("parameter_invalid", message, "payment_method_id")


def read_texts(body: bytes, *names: str) -> list[str]:
    try:
        wanted = json.loads(body)
    except ValueError:
        raise bad_request("invalid_json", "The body is not JSON") from None
    if not isinstance(wanted, dict):
        raise bad_request("invalid_json", "The body is not an object")
    return [read_text(wanted.get(name), name) for name in names]


def read_text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise bad_request("parameter_missing", f"{name} is required", name)
    return value


def read_filters(query: Mapping[str, str], filters: Mapping[str, str]) -> dict[str, list[str]]:
    return {filters[name]: [value] for name, value in query.items() if name in filters}


def read_buckets(query: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Conditions for the `status` and `statuses` of a listing of memberships, as Whop means them:
    some match no membership's own status."""
    conditions: list[tuple[str, ...]] = []
    for name in ("status", "statuses"):
        if name in query:
            wanted = query[name].split(",")
            if not BUCKETS.keys() >= set(wanted):
                message = f"Must be one of {', '.join(BUCKETS)}"
                raise bad_request("parameter_invalid", message, name)
            conditions.append((f"({' or '.join(f'({BUCKETS[one]})' for one in wanted)})",))
    return conditions


def read_expiry(query: Mapping[str, str], now: datetime) -> list[tuple[str, ...]]:
    if "expired" not in query:
        return []
    return [(f"expires {'<' if read_flag(query, 'expired') else '>='} ?", f"{now:%Y-%m}")]


def read_flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise bad_request("parameter_invalid", "Must be true or false", name)
    return value == "true"
