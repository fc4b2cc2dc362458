"""The control routes, which Whop does not have: to inspect and steer the sandbox."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sandbox.model.renewals import HandMade, Overrides, Renewal
from sandbox.model.switches import FaultKind, Switches
from sandbox.model.times import utc
from sandbox.servers.api import WhopApi
from sandbox.state.store import Missing
from sandbox.world.world import World

SWITCHES = TypeAdapter(Switches)
# How a dispute goes on or ends, in Whop's words.
RULINGS = ("under_review", "won", "lost", "prevented", "warning_under_review", "warning_closed")


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WantedFault(Wanted):
    operation: str
    kind: FaultKind
    seconds: float = 0.0
    status: int = 503
    times: int | None = 1


class WantedTime(Wanted):
    to: datetime | None = None


class WantedSecrets(Wanted):
    webhook_secret: Annotated[str, Field(min_length=1)] | None = None
    api_key: Annotated[str, Field(min_length=1)] | None = None


class Control:
    def __init__(self, world: World, whop: WhopApi, clock: Callable[[], datetime]) -> None:
        self.world = world
        self.whop = whop
        self.clock = clock
        self.actions: dict[str, Callable[[str, datetime], object]] = {
            "member_pays": world.member_pays,
            "change_card": world.change_card,
            "renew_card": world.renew_card,
            "cancel_membership": world.cancel_membership,
            "cancel_at_period_end": world.cancel_at_period_end,
            "uncancel": world.uncancel,
            "refund": world.refund,
            "dispute": world.dispute,
            "dispute_alert": world.dispute_alert,
            "void": world.void,
            "mark_uncollectible": world.mark_uncollectible,
            "pause": world.pause,
            "resume": world.resume,
            "buy_again": world.buy_again,
            "inquiry": world.inquiry,
            **{name: partial(world.rule_on_dispute, name) for name in RULINGS},
        }

    def routes(self) -> APIRouter:
        router = APIRouter(prefix="/sandbox")
        router.get("/ledger")(self.ledger)
        router.get("/payments/{payment_id}")(self.payment)
        router.post("/payments/{payment_id}/{action}")(self.act)
        router.post("/payments")(self.adopt)
        router.post("/fail_renewal")(self.fail_renewal)
        router.post("/renew")(self.renew)
        router.post("/secrets")(self.set_secrets)
        router.post("/faults")(self.add_fault)
        router.delete("/faults")(self.clear_faults)
        router.get("/switches")(self.switches)
        router.post("/switches")(self.set_switches)
        router.post("/advance")(self.advance)
        router.get("/limits")(self.limits)
        return router

    def ledger(self, payment_id: str | None = None) -> dict[str, Any]:
        return {
            "charges": [asdict(charge) for charge in self.world.ledger.charges(payment_id)],
            "net_paid": self.describe_net_paid(payment_id),
            "paid_total_usd": self.world.ledger.paid_total(),
            "paid_twice": self.world.ledger.paid_twice(),
        }

    def describe_net_paid(self, payment_id: str | None) -> dict[str, dict[str, Any]]:
        return {
            paid_id: asdict(net) | {"usd_amount": net.usd_amount}
            for paid_id, net in self.world.ledger.net_paid().items()
            if payment_id in (None, paid_id)
        }

    def payment(self, payment_id: str) -> dict[str, Any]:
        store = self.world.store
        with explained():
            payment = store.payment(payment_id)
        return {
            "payment": asdict(payment),
            "membership": asdict(store.membership(payment.membership_id)),
            "charges": [asdict(charge) for charge in self.world.ledger.charges(payment_id)],
        }

    def act(self, payment_id: str, action: str) -> dict[str, str]:
        """Performs an action of a member, a bank or the creator. Unknown ones are answered 404."""
        if action not in self.actions:
            raise HTTPException(404, f"Known actions: {', '.join(self.actions)}")
        with explained():
            self.actions[action](payment_id, self.clock())
        return {"status": self.world.store.payment(payment_id).status}

    def adopt(self, made: HandMade) -> dict[str, str]:
        """Makes real what somebody told the receiver by hand. Repeating it changes nothing."""
        with explained():
            self.world.adopt(made, self.clock())
        return {"payment_id": made["payment_id"]}

    def fail_renewal(self, wanted: Overrides) -> dict[str, str]:
        with explained():
            return {"payment_id": self.world.fail_renewal(self.clock(), **wanted)}

    def renew(self, wanted: Renewal) -> dict[str, str]:
        with explained():
            return {"payment_id": self.world.renew(self.clock(), **wanted)}

    def set_secrets(self, wanted: WantedSecrets) -> dict[str, str]:
        """Changes the webhook secret and the accepted API key until the sandbox stops."""
        if wanted.webhook_secret:
            self.world.webhook_secret = wanted.webhook_secret
        if wanted.api_key:
            self.whop.accept_keys([wanted.api_key])
        return {"status": "changed"}

    def add_fault(self, wanted: WantedFault) -> dict[str, str]:
        self.world.faults.add(**wanted.model_dump())
        return {"status": "waiting"}

    def clear_faults(self) -> dict[str, str]:
        self.world.faults.clear()
        return {"status": "cleared"}

    def switches(self) -> Switches:
        return self.world.switches

    def set_switches(self, wanted: dict[str, Any]) -> Switches:
        return changed(self.world.switches, wanted)

    def advance(self, wanted: WantedTime) -> dict[str, Any]:
        to = utc(wanted.to) if wanted.to else self.clock()
        self.world.advance(to)
        return {"now": to, "next_due": self.world.next_due()}

    def limits(self) -> dict[str, int]:
        return {"refused": self.whop.limits.refused}


@contextmanager
def explained() -> Iterator[None]:
    try:
        yield
    except Missing as missing:
        raise HTTPException(404, f"{missing} was not found") from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def changed(switches: Switches, wanted: dict[str, Any]) -> Switches:
    """Changes the named switches in place: the whole sandbox shares this object."""
    unknown = wanted.keys() - asdict(switches).keys()
    if unknown:
        raise HTTPException(422, f"Unknown switches: {', '.join(sorted(unknown))}")
    try:
        valid = SWITCHES.validate_python({**asdict(switches), **wanted})
    except ValidationError as error:
        raise HTTPException(422, str(error)) from None
    for name in wanted:
        setattr(switches, name, getattr(valid, name))
    return switches
