"""The hot path: receives a webhook delivery, stores it with its payment, and answers.

Deliveries bypass FastAPI; `openapi.py` describes them.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

from db.outages import DatabaseUnavailable
from webhook import metrics
from webhook.group_commit import GroupCommit
from webhook.hand_made import HandMadePayments
from webhook.settings import WebhookSettings
from webhook.store_errors import UnstorableError
from webhook.verification import Refusal, authenticate, read_body, read_delivery

log = logging.getLogger(__name__)

# The same answer for a new event and a repeated one: the sender need not know.
STORED = Response(b'{"status":"stored"}', media_type="application/json")
READ_METHODS = ("GET", "HEAD")
# Seconds. Sent with 503: the database is away for seconds, or until an operator acts.
RETRY_LATER = {"Retry-After": "10"}
COUNT_STORED = metrics.DELIVERIES.labels("200")


class WebhookHandler:
    """Receives Whop's deliveries. It reads ASGI messages directly: a framework's request objects
    and middleware would double the cost (docs/developers/speed.md)."""

    def __init__(
        self, settings: WebhookSettings, group_commit: GroupCommit, hand_made: HandMadePayments
    ) -> None:
        self.settings, self.group_commit, self.hand_made = settings, group_commit, hand_made
        self.default_company = settings.default_company

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """Accepts Whop's signed events and, in development, unsigned and flat ones too."""
        if scope["method"] != "POST":
            return answer_get(scope["method"])
        try:
            await self.store(scope, receive)
        except Refusal as refusal:
            return refuse(refusal.status, refusal.detail)
        except UnstorableError as error:
            return refuse(422, str(error))
        except DatabaseUnavailable as error:
            return refuse(503, str(error), RETRY_LATER)
        COUNT_STORED.inc()
        return STORED

    async def store(self, scope: Scope, receive: Receive) -> None:
        now = self.group_commit.now()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        body = await read_body(headers, receive)
        event_id = authenticate(headers, body, self.settings, now)
        event = read_delivery(event_id, body, now, self.default_company)
        proven = not event_id.startswith("unsigned:")
        # invariant 10: a signed event that cannot be read is kept
        if event.error is None or proven:
            await self.group_commit.commit(event)
        if event.error is not None:
            # Not 200, because its payment is not visible. It is stored, so that it can be replayed.
            raise Refusal(422, event.error)
        if not proven and self.hand_made.url is not None:
            await self.hand_made.register(event)


def answer_get(method: str) -> Response:
    """Whop may check that the endpoint is up (whop-api.md 4.4)."""
    if method in READ_METHODS:
        return JSONResponse({"status": "ready for POST"})
    allowed = {"Allow": ", ".join([*READ_METHODS, "POST"])}
    return JSONResponse({"detail": "Method Not Allowed"}, 405, allowed)


async def redirect_to_dashboard(request: Request) -> Response:
    """In development only. In production members know this host from their emails."""
    return RedirectResponse(request.app.state.settings.frontend_url)


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    metrics.DELIVERIES.labels(str(status)).inc()
    log.info("delivery refused with %d: %s", status, detail)
    return JSONResponse({"detail": detail}, status, headers)
