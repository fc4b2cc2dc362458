"""Whop's API: one function from a request to an answer."""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from sandbox.model.switches import EVERY_OPERATION, Fault
from sandbox.model.times import utc
from sandbox.servers.endpoints import Call, Endpoints
from sandbox.state.store import Missing
from sandbox.wire.exchange import Answer, ApiError, Request, in_json, lost_before
from sandbox.wire.idempotency import Idempotency
from sandbox.wire.limits import Limits, exceeded
from sandbox.wire.versions import HEADER, shape_for
from sandbox.world.world import World

Serve = Callable[[Endpoints, Call], Any]

ROOT = "/api/v1"
ROUTES: tuple[tuple[str, str, str, Serve], ...] = (
    ("GET", r"/payments", "payments.list", Endpoints.list_payments),
    ("GET", r"/payments/([^/]+)", "payments.retrieve", Endpoints.retrieve_payment),
    ("GET", r"/payments/([^/]+)/status", "payments.status", Endpoints.payment_status),
    ("POST", r"/payments/([^/]+)/retry", "payments.retry", Endpoints.retry_payment),
    ("GET", r"/products", "products.list", Endpoints.list_products),
    ("GET", r"/memberships", "memberships.list", Endpoints.list_memberships),
    ("GET", r"/memberships/([^/]+)", "memberships.retrieve", Endpoints.retrieve_membership),
    ("PATCH", r"/memberships/([^/]+)", "memberships.update", Endpoints.update_membership),
    ("GET", r"/disputes", "disputes.list", Endpoints.list_disputes),
    ("GET", r"/refunds", "refunds.list", Endpoints.list_refunds),
    ("GET", r"/payment_methods", "payment_methods.list", Endpoints.list_cards),
    ("GET", r"/permissions", "permissions.list", Endpoints.list_permissions),
    ("POST", r"/support_channels", "support_channels.create", Endpoints.open_support_channel),
    ("POST", r"/messages", "messages.create", Endpoints.write_message),
)
COMPILED = [(method, re.compile(ROOT + path), name, serve) for method, path, name, serve in ROUTES]


class WhopApi:
    def __init__(self, world: World, api_keys: Collection[str] = ("apik_sandbox",)) -> None:
        self.world = world
        self.accept_keys(api_keys)
        self.endpoints = Endpoints(world)
        self.limits = Limits()
        self.idempotency = Idempotency(world.store)

    def accept_keys(self, api_keys: Collection[str]) -> None:
        """Replaces the API keys that are accepted."""
        self.api_keys = frozenset(api_keys)

    def handle(self, request: Request, now: datetime) -> Answer:
        now = utc(now)
        try:
            answer = self.check_and_serve(request, now)
        except ApiError as error:
            answer = error.answer()
        if self.world.switches.webhook_timing == "before_answer":
            self.world.deliver_due(now)
        return answer

    def check_and_serve(self, request: Request, now: datetime) -> Answer:
        """Errors raised here are not stored under the idempotency key: nothing was served yet."""
        operation, subject, serve = find_route(request)
        if request.bearer not in self.api_keys:
            raise ApiError(401, "unauthorized", "The API key is missing or not valid")
        fault = self.world.faults.take(operation, EVERY_OPERATION)
        if lost := lost_before(fault):
            return lost
        if fault and fault.kind == "status":
            raise failing(fault)
        allowed = self.world.switches.rate_per_minute
        self.limits.count(operation, request.bearer, allowed, now)
        shape = shape_for(request.headers.get(HEADER))
        call = Call(request, subject, shape, now)
        key = request.headers.get("idempotency-key")
        keyed = key if request.method == "POST" and shape == "current" else None
        return apply_fault(fault, self.serve_once(serve, call, keyed, fault))

    def serve_once(self, serve: Serve, call: Call, key: str | None, fault: Fault | None) -> Answer:
        if key is not None:
            # Committed before serving, so that the key stays taken whatever happens next.
            with self.world.store.transaction():
                if replayed := self.idempotency.begin(call.request, key, call.now):
                    return replayed
        with self.world.store.transaction():
            answer = self.serve(serve, call)
            if key is not None and not (fault and fault.kind == "500_after"):
                self.idempotency.finish(call.request, key, answer)
        return answer

    def serve(self, serve: Serve, call: Call) -> Answer:
        try:
            return in_json(200, serve(self.endpoints, call))
        except Missing:
            return ApiError(404, "not_found", f"{call.subject} was not found").answer()
        except ApiError as error:
            return error.answer()


def find_route(request: Request) -> tuple[str, str, Serve]:
    for method, pattern, operation, serve in COMPILED:
        if method == request.method and (found := pattern.fullmatch(request.path)):
            return operation, found.group(1) if found.groups() else "", serve
    raise ApiError(404, "not_found", f"There is no {request.method} {request.path}")


def failing(fault: Fault) -> ApiError:
    """The error of a `status` fault."""
    if fault.status == 429:
        return exceeded(fault.seconds)
    return ApiError(fault.status, "api_error", "Something went wrong on our side")


def apply_fault(fault: Fault | None, answer: Answer) -> Answer:
    """Applies a fault to the answer of a request that has been served."""
    match fault:
        case Fault(kind="timeout_after"):
            return replace(answer, lost="timeout")
        case Fault(kind="500_after"):
            return failing(replace(fault, status=500)).answer()
        case Fault(kind="latency"):
            return replace(answer, delay=fault.seconds)
        case _:
            return answer
