"""Whop's API, as far as we use it. Never re-sends anything by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from whop.errors import NoAnswerError, check
from whop.pace import Pace
from whop.payloads import Payment, read_payment
from whop.values import Json, PayloadError, link, part, text, time

TIMEOUT = httpx.Timeout(30, connect=5)
# Where every member can manage billing, when Whop does not give us the membership's own link.
MEMBERSHIPS_PAGE = "https://whop.com/@me/settings/memberships"


@dataclass(frozen=True, slots=True)
class Membership:
    manage_url: str
    product: str | None
    seller: str | None


class WhopClient:
    """`clock` gives aware UTC times; it dates answers that carry no time of their own."""

    def __init__(
        self,
        url: str,
        key: str,
        version: str,
        per_minute: int,
        clock: Callable[[], datetime],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.pace, self.clock = Pace(per_minute), clock
        self.http = httpx.Client(
            base_url=url,
            timeout=TIMEOUT,
            transport=transport,
            headers={"Authorization": f"Bearer {key}", "Api-Version-Date": version},
        )

    def close(self) -> None:
        self.http.close()

    def get_payment(self, payment_id: str, company_id: str) -> Payment:
        """Raises WhopError."""
        return self.read(self.call("GET", "payments", payment_id), company_id)

    def retry_payment(self, payment_id: str, company_id: str, key: str) -> Payment:
        """Charges it again: one POST. The same key never charges twice (whop-api.md 2.8).

        Raises WhopError. An answer is not yet money: the payment says where it stands.
        """
        answer = self.call(
            "POST", "payments", payment_id, "/retry", headers={"Idempotency-Key": key}
        )
        return self.read(answer, company_id)

    def get_membership(self, membership_id: str) -> Membership:
        """Raises WhopError. `manage_url` needs the scope member:manage, else the general page."""
        data = self.call("GET", "memberships", membership_id)
        return Membership(
            manage_url=link(data, "manage_url") or MEMBERSHIPS_PAGE,
            product=text(part(data, "product"), "title"),
            seller=text(part(data, "account"), "title") or text(part(data, "company"), "title"),
        )

    def read(self, data: Json, company_id: str) -> Payment:
        now = self.clock()
        try:
            return read_payment(data, min(time(data, "updated_at") or now, now), company_id)
        except PayloadError as error:
            raise NoAnswerError(f"Whop's answer cannot be read: {error}") from None

    def call(
        self, method: str, kind: str, ident: str, action: str = "", headers: Any = None
    ) -> Json:
        self.pace.wait(f"{method} {kind}{action}")
        try:
            response = self.http.request(
                method, f"/{kind}/{quote(ident, safe='')}{action}", headers=headers
            )
        except httpx.HTTPError as error:
            raise NoAnswerError(f"no answer from Whop ({type(error).__name__})") from None
        check(response)
        try:
            data = response.json()
        except ValueError:
            raise NoAnswerError("Whop's answer is not JSON") from None
        if not isinstance(data, dict):
            raise NoAnswerError("Whop's answer is not an object")
        return data
