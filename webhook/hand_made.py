"""In development: makes a payment that was told by hand known to the sandbox, which stands in for
Whop. Whop itself knows no such payment, and could never charge it again."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from db.ledger.inbox import Event
from recovery.reports import PaymentReport
from webhook.settings import WebhookSettings
from whop.payloads import is_flat

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ANSWERS_WITHIN_SECONDS = 3.0


class HandMadePayments:
    """Does nothing in production, or where Whop's address is not on this machine."""

    def __init__(
        self, settings: WebhookSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = find_sandbox(settings)
        self.transport = transport

    async def register(self, event: Event) -> None:
        """Call it once the event is stored. A sandbox that is away harms nothing."""
        report = event.parsed.payment if event.parsed else None
        if self.url is None or report is None or not is_flat(json.loads(event.payload)):
            return
        import httpx  # a tenth of the receiver's memory, which production does without

        try:
            async with httpx.AsyncClient(
                timeout=ANSWERS_WITHIN_SECONDS, transport=self.transport
            ) as client:
                answer = await client.post(self.url, json=describe(report))
        except httpx.HTTPError as error:
            log.info("payment %s: no sandbox at %s: %s", report.payment_id, self.url, error)
            return
        if answer.is_error:
            log.warning("payment %s: the sandbox refuses it: %s", report.payment_id, answer.text)


def find_sandbox(settings: WebhookSettings) -> str | None:
    whop = urlsplit(settings.whop_api_url)
    if not settings.in_development or whop.hostname not in LOOPBACK:
        return None
    return f"{whop.scheme}://{whop.netloc}/sandbox/payments"


def describe(report: PaymentReport) -> dict[str, str]:
    told = {
        "payment_id": report.payment_id,
        "account_id": report.company_id,
        "amount": str(report.amount),
        "currency": report.currency,
        "member_id": report.member_id,
        "reason": report.failure_message,
        "name": report.member_name,
        "email": report.member_email,
    }
    return {name: value for name, value in told.items() if value is not None}
