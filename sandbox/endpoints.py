"""What each endpoint of the API answers, without the rules that all of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.exchange import ApiError, Request, bad_request
from sandbox.listing import asked_page, listed
from sandbox.rules import Refusal
from sandbox.shapes import Shape
from sandbox.standing import standing
from sandbox.store import MEMBERSHIP, PAYMENT, REFUND
from sandbox.world import World

STATUSES = ("open", "authorized", "paid", "pending", "uncollectible", "unresolved", "void")
ACCOUNT = {"account_id": "account_id", "company_id": "account_id"}
PAYMENT_FILTERS = ACCOUNT | {
    "status": "status",
    "billing_reason": "billing_reason",
    "membership_id": "membership_id",
}
MEMBERSHIP_FILTERS = ACCOUNT | {"member_id": "member_id", "status": "status"}
REFUND_FILTERS = ACCOUNT | {"payment_id": "payment_id"}
PERMISSIONS = """
payment:basic:read payment:manage member:basic:read member:email:read member:manage plan:basic:read
access_pass:basic:read company:basic:read webhook_receive:payments webhook_receive:memberships
"""


@dataclass(frozen=True)
class Call:
    """A request that passed the door: who may see what it names is settled."""

    request: Request
    subject: str
    shape: Shape
    now: datetime


class Endpoints:
    def __init__(self, world: World) -> None:
        self._world = world

    def list_payments(self, call: Call) -> Any:
        query = call.request.query
        if query.get("status", "open") not in STATUSES:
            raise bad_request(
                "parameter_invalid", f"Must be one of {', '.join(STATUSES)}", "status"
            )
        where = _where(query, PAYMENT_FILTERS)
        if where.get("billing_reason") == ["subscription_cycle"]:
            where["billing_reason"] = ["subscription_cycle", "subscription_update"]
        if not self._granted("payment:basic:read"):
            # Whop answers with nothing rather than a refusal here, a trap worth keeping.
            where["id"] = []
        return self._listed("payments", where, call)

    def retrieve_payment(self, call: Call) -> Any:
        payment = self._world.store.payment(call.subject)
        return self._world.shapes.payment(payment, call.shape)

    def payment_status(self, call: Call) -> Any:
        payment = self._world.store.payment(call.subject)
        return standing(payment, self._world.shapes.company(payment.account_id))

    def retry_payment(self, call: Call) -> Any:
        if not self._granted("payment:manage"):
            message = "API key is not authorized for the payment:manage scope"
            raise ApiError(403, "forbidden", message)
        key = call.request.headers.get("idempotency-key")
        payment = self._world.retry(call.subject, call.now, key)
        if isinstance(payment, Refusal):
            raise ApiError(409, "conflict", payment.message, payment.code)
        return self._world.shapes.payment(payment, call.shape)

    def list_memberships(self, call: Call) -> Any:
        return self._listed("memberships", _where(call.request.query, MEMBERSHIP_FILTERS), call)

    def retrieve_membership(self, call: Call) -> Any:
        membership = self._world.store.membership(call.subject)
        return self._world.shapes.membership(membership, call.shape)

    def list_refunds(self, call: Call) -> Any:
        return self._listed("refunds", _where(call.request.query, REFUND_FILTERS), call)

    def list_permissions(self, call: Call) -> Any:
        query = call.request.query
        if "resource_id" not in query:
            raise bad_request("parameter_missing", "resource_id is required", "resource_id")
        actions = query.get("actions", ",".join(PERMISSIONS.split())).split(",")
        return {"data": [{"action": name, "granted": self._granted(name)} for name in actions]}

    def _granted(self, permission: str) -> bool:
        return permission not in self._world.switches.denied_permissions

    def _listed(self, table: str, where: Mapping[str, Sequence[str]], call: Call) -> Any:
        page = asked_page(table, where, call.request.query, self._world.switches.max_page)
        return listed(self._world.store, page, lambda text: self._describe(table, text, call.shape))

    def _describe(self, table: str, document: str, shape: Shape) -> Any:
        shapes = self._world.shapes
        match table:
            case "payments":
                return shapes.payment(PAYMENT.validate_json(document), shape, in_list=True)
            case "memberships":
                return shapes.membership(MEMBERSHIP.validate_json(document), shape)
            case _:
                return shapes.refund(REFUND.validate_json(document), shape)


def _where(query: Mapping[str, str], filters: Mapping[str, str]) -> dict[str, list[str]]:
    return {filters[name]: [value] for name, value in query.items() if name in filters}
