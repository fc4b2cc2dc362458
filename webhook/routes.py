"""The hot path: a delivery comes in, is stored with its payment, and is answered.

FastAPI does not see deliveries; `openapi.py` describes them.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

from db.session import DatabaseUnavailable
from webhook import metrics
from webhook.group_commit import GroupCommit, UnstorableError
from webhook.settings import WebhookSettings
from webhook.verification import Refusal, authenticate, read_body, read_delivery

log = logging.getLogger(__name__)

# The same for a new event and a repeated one: to the sender they are the same.
STORED = Response(b'{"status":"stored"}', media_type="application/json")
LOOKING = ("GET", "HEAD")
# With 503: the database is away for seconds, or for as long as an operator needs.
AGAIN = {"Retry-After": "10"}
COUNT_STORED = metrics.DELIVERIES.labels("200")


class WebhookHandler:
    """Takes deliveries in. Reads ASGI's own messages: a framework's request and middleware would
    cost as much again (docs/developers/speed.md)."""

    def __init__(self, settings: WebhookSettings, inbox: GroupCommit) -> None:
        self.settings, self.inbox = settings, inbox
        self.default_company = settings.default_company

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """Whop's events by their type, signed; in development also unsigned and flat ones."""
        if scope["method"] != "POST":
            return greet(scope["method"])
        try:
            await self.take(scope, receive)
        except Refusal as refusal:
            return refuse(refusal.status, refusal.detail)
        except UnstorableError as error:
            return refuse(422, str(error))
        except DatabaseUnavailable as error:
            return refuse(503, str(error), AGAIN)
        COUNT_STORED.inc()
        return STORED

    async def take(self, scope: Scope, receive: Receive) -> None:
        now = self.inbox.now()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        body = await read_body(headers, receive)
        event_id = authenticate(headers, body, self.settings, now)
        event = read_delivery(event_id, body, now, self.default_company)
        proven = not event_id.startswith("unsigned:")
        # invariant 10: a signed event that cannot be read is kept
        if event.error is None or proven:
            await self.inbox.put(event)
        if event.error is not None:
            # Not 200: the payment it is about is not visible. Kept, so that it can be replayed.
            raise Refusal(422, event.error)


def greet(method: str) -> Response:
    """Whop may look whether anybody is there (whop-api.md 4.4)."""
    if method in LOOKING:
        return JSONResponse({"status": "ready for POST"})
    allowed = {"Allow": ", ".join([*LOOKING, "POST"])}
    return JSONResponse({"detail": "Method Not Allowed"}, 405, allowed)


async def show_the_way(request: Request) -> Response:
    """In development only: in production members know this address, from the mails they get."""
    return RedirectResponse(request.app.state.settings.frontend_url)


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    metrics.DELIVERIES.labels(str(status)).inc()
    log.info("a delivery was refused: %d %s", status, detail)
    return JSONResponse({"detail": detail}, status, headers)
