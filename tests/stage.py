"""A simulated Whop for the tests of the sandbox: a world, the time in it, and a client."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sandbox.model.records import Membership
from sandbox.model.switches import Switches
from sandbox.servers.transport import InProcess
from sandbox.state.store import Store
from sandbox.world.world import World

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Stage:
    """A world with the time in it, a client of its API, and a receiver that can refuse."""

    file: Path | str = ":memory:"
    switches: Switches = field(default_factory=Switches)
    now: datetime = NOON
    receiver_says: int = 200
    delivered: list[tuple[datetime, str, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(Store(self.file), switches=self.switches, deliver=self.deliver)
        self.api = self.client("apik_sandbox")
        self.mail = self.client("SG.sandbox", "https://mail.test")

    def client(self, key: str, url: str = "https://whop.test/api/v1") -> httpx.Client:
        transport = InProcess(
            self.world,
            lambda: self.now,
            api_keys=["apik_sandbox", "apik_other"],
            wait=self.waits.append,
        )
        headers = {"authorization": f"Bearer {key}", "api-version-date": "2026-10-15-1"}
        return httpx.Client(transport=transport, base_url=url, headers=headers)

    def deliver(self, headers: dict[str, str], body: bytes) -> int:
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        self.delivered.append((at, headers["webhook-id"], json.loads(body)["type"]))
        return self.receiver_says

    def failed(self, *script: str, **wanted: Any) -> str:
        return self.world.fail_renewal(self.now, script=["insufficient_funds", *script], **wanted)

    def member_of(self, payment_id: str) -> Membership:
        return self.world.store.membership(self.world.store.payment(payment_id).membership_id)

    def cards_of(self, payment_id: str, query: str = "") -> list[dict[str, Any]]:
        path = f"/payment_methods?member_id={self.member_of(payment_id).member_id}&{query}"
        found: list[dict[str, Any]] = self.api.get(path).json()["data"]
        return found

    def spare_of(self, payment_id: str) -> str:
        """The saved card that renewals do not charge."""
        used = self.member_of(payment_id).card.method_id
        (spare,) = [card["id"] for card in self.cards_of(payment_id) if card["id"] != used]
        return str(spare)

    def set_card(self, payment_id: str, card_id: str, **headers: str) -> httpx.Response:
        path = f"/memberships/{self.member_of(payment_id).id}"
        return self.api.patch(path, json={"payment_method_id": card_id}, headers=headers)

    def retry(self, payment_id: str, key: str | None = None) -> httpx.Response:
        headers = {"idempotency-key": key} if key else {}
        return self.api.post(f"/payments/{payment_id}/retry", headers=headers)

    def shown(self, payment_id: str) -> dict[str, object]:
        found: dict[str, object] = self.api.get(f"/payments/{payment_id}").json()
        return found

    def later(self, by: timedelta) -> None:
        self.now += by
        self.world.advance(self.now)

    def charged_by(self, payment_id: str) -> list[tuple[str, str]]:
        return [(charge.by, charge.outcome) for charge in self.world.ledger.charges(payment_id)]

    @property
    def events(self) -> list[str]:
        return [event for _, _, event in self.delivered]


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]
