"""What each API endpoint answers. Rules that all endpoints share are in api.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.model.rules import Refusal
from sandbox.servers.asked import (
    read_buckets,
    read_card,
    read_expiry,
    read_filters,
    read_flag,
    read_texts,
)
from sandbox.servers.support import Support
from sandbox.state.store import DISPUTE, MEMBERSHIP, PAYMENT, REFUND
from sandbox.wire.exchange import ApiError, Request, bad_request
from sandbox.wire.pagination import list_rows, read_page
from sandbox.wire.payment_status import describe_status
from sandbox.wire.products import list_products
from sandbox.wire.shapes import Shape
from sandbox.world.cards import SAVED_CARD, describe_card
from sandbox.world.world import World

STATUSES = ("open", "authorized", "paid", "pending", "uncollectible", "unresolved", "void")
ACCOUNT = {"account_id": "account_id", "company_id": "account_id"}
PAYMENT_FILTERS = ACCOUNT | {
    "status": "status",
    "billing_reason": "billing_reason",
    "membership_id": "membership_id",
}
REFUND_FILTERS = ACCOUNT | {"payment_id": "payment_id"}
CARD_FILTERS = ACCOUNT | {"member_id": "member_id"}
OF_MEMBER = "membership_id in (select id from memberships where member_id = ?)"
# What is not searched for often enough to have a column.
OF_FIELD = "json_extract(document, '$.{}') = ?"
FIELDS = ("user_id", "product_id", "plan_id")
ERROR_TYPES = {400: "bad_request", 404: "not_found", 422: "unprocessable_entity"}
PERMISSIONS = """
payment:basic:read payment:manage payment:dispute:read payment:dispute_alert:read
member:basic:read member:email:read member:phone:read member:manage
member:payment_methods:read member:payment_methods:manage
plan:basic:read access_pass:basic:read company:basic:read promo_code:basic:read
webhook_receive:payments webhook_receive:memberships webhook_receive:refunds
webhook_receive:disputes notification:create support_chat:create support_chat:message:create
"""


@dataclass(frozen=True)
class Call:
    """A request that has passed the checks that all endpoints share."""

    request: Request
    subject: str
    shape: Shape
    now: datetime


class Endpoints:
    def __init__(self, world: World) -> None:
        self.world = world
        self.support = Support(world)

    def list_payments(self, call: Call) -> Any:
        query = call.request.query
        if query.get("status", "open") not in STATUSES:
            raise bad_request(
                "parameter_invalid", f"Must be one of {', '.join(STATUSES)}", "status"
            )
        where = read_filters(query, PAYMENT_FILTERS)
        if where.get("billing_reason") == ["subscription_cycle"]:
            where["billing_reason"] = ["subscription_cycle", "subscription_update"]
        if not self.is_granted("payment:basic:read"):
            # Whop answers an empty list here, not an error. The daemon has to cope with that.
            where["id"] = []
        member = [(OF_MEMBER, query["member_id"])] if "member_id" in query else []
        return self.list_page("payments", where, call, member)

    def retrieve_payment(self, call: Call) -> Any:
        payment = self.world.store.payment(call.subject)
        return self.world.shapes.payment(payment, call.shape)

    def payment_status(self, call: Call) -> Any:
        payment = self.world.store.payment(call.subject)
        return describe_status(payment, self.world.shapes.company(payment.account_id))

    def retry_payment(self, call: Call) -> Any:
        self.require("payment:manage")
        key = call.request.headers.get("idempotency-key")
        payment = self.world.retry(call.subject, call.now, key)
        if isinstance(payment, Refusal):
            raise ApiError(409, "conflict", payment.message, payment.code)
        return self.world.shapes.payment(payment, call.shape)

    def list_products(self, call: Call) -> Any:
        """An account's products, known by its memberships. What Whop answers without the permission
        is UNKNOWN: an empty list, as elsewhere."""
        account_id = call.request.query.get("account_id", "")
        granted = self.is_granted("access_pass:basic:read")
        found = self.world.store.products(account_id) if granted else []
        after, first = call.request.query.get("after", ""), self.world.switches.max_page
        later = [one for one in found if one[0] > after]
        return list_products(later[:first], more=len(later) > first)

    def list_memberships(self, call: Call) -> Any:
        query = call.request.query
        where = read_filters(query, ACCOUNT | {"member_id": "member_id"})
        if not self.is_granted("member:basic:read"):
            # As with payments: an empty list, not an error.
            where["id"] = []
        fields = [(OF_FIELD.format(name), query[name]) for name in FIELDS if name in query]
        return self.list_page("memberships", where, call, [*read_buckets(query), *fields])

    def list_disputes(self, call: Call) -> Any:
        query = call.request.query
        where = read_filters(query, ACCOUNT)
        if not self.is_granted("payment:dispute:read"):
            where["id"] = []
        wanted = query["status"].split(",") if "status" in query else []
        among = (
            f"{OF_FIELD.format('status').removesuffix('= ?')} in ({', '.join('?' * len(wanted))})"
        )
        return self.list_page("disputes", where, call, [(among, *wanted)] if wanted else [])

    def retrieve_membership(self, call: Call) -> Any:
        membership = self.world.store.membership(call.subject)
        return self.world.shapes.membership(membership, call.shape)

    def update_membership(self, call: Call) -> Any:
        """Switches to another of the member's saved cards. The sandbox can change nothing else."""
        self.require("member:payment_methods:manage")
        method_id = read_card(call.request.body)
        membership = self.world.store.membership(call.subject)
        card = self.world.cards.find(method_id)
        if card is None or card.member_id != membership.member_id:
            status = self.world.switches.unknown_card_status
            message = "The customer has not saved this payment method with your account"
            code = "parameter_invalid"
            raise ApiError(status, ERROR_TYPES[status], message, code, "payment_method_id")
        membership = self.world.set_card(membership.id, card, call.now)
        return self.world.shapes.membership(membership, call.shape)

    def list_refunds(self, call: Call) -> Any:
        return self.list_page("refunds", read_filters(call.request.query, REFUND_FILTERS), call)

    def list_cards(self, call: Call) -> Any:
        """A member's saved cards. Without a member Whop lists the caller's own; a key has none."""
        query = call.request.query
        if "member_id" in query and "account_id" in query:
            message = "Provide either member_id or account_id, not both"
            raise bad_request("parameter_invalid", message, "account_id")
        where = read_filters(query, CARD_FILTERS)
        kinds = query.get("payment_method_types", "card").split(",")
        granted = self.is_granted("member:payment_methods:read")
        if not (granted and where and "card" in kinds) or read_flag(query, "broken"):
            where["id"] = []
        if "card_brands" in query:
            where["brand"] = query["card_brands"].split(",")
        return self.list_page("cards", where, call, read_expiry(query, call.now))

    def list_permissions(self, call: Call) -> Any:
        query = call.request.query
        if "resource_id" not in query:
            raise bad_request("parameter_missing", "resource_id is required", "resource_id")
        actions = query.get("actions", ",".join(PERMISSIONS.split())).split(",")
        return {"data": [{"action": name, "granted": self.is_granted(name)} for name in actions]}

    def open_support_channel(self, call: Call) -> Any:
        self.require("support_chat:create")
        account_id, user_id = read_texts(call.request.body, "account_id", "user_id")
        return self.support.open(account_id, user_id, call.now)

    def write_message(self, call: Call) -> Any:
        self.require("support_chat:message:create")
        channel_id, content = read_texts(call.request.body, "channel_id", "content")
        return self.support.write(channel_id, content, call.now)

    def is_granted(self, permission: str) -> bool:
        return permission not in self.world.switches.denied_permissions

    def require(self, permission: str) -> None:
        if not self.is_granted(permission):
            message = f"API key is not authorized for the {permission} scope"
            raise ApiError(403, "forbidden", message)

    def list_page(
        self,
        table: str,
        where: Mapping[str, Sequence[str]],
        call: Call,
        bounds: Sequence[tuple[str, ...]] = (),
    ) -> Any:
        largest = self.world.switches.max_page
        page = read_page(table, where, call.request.query, largest, bounds)
        return list_rows(self.world.store, page, lambda text: self.describe(table, text, call))

    def describe(self, table: str, document: str, call: Call) -> Any:
        shapes, shape = self.world.shapes, call.shape
        match table:
            case "payments":
                return shapes.payment(PAYMENT.validate_json(document), shape, in_list=True)
            case "memberships":
                return shapes.membership(MEMBERSHIP.validate_json(document), shape)
            case "disputes":
                return shapes.dispute(DISPUTE.validate_json(document), shape)
            case "cards":
                return describe_card(SAVED_CARD.validate_json(document), call.now)
            case _:
                return shapes.refund(REFUND.validate_json(document), shape)
