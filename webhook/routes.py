"""The hot path: a delivery comes in, is stored with its payment, and is answered.

FastAPI does not see these routes; `openapi.py` describes them.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from webhook import metrics
from webhook.deliveries import Refusal, authenticate, read_body, read_delivery
from webhook.inbox import DatabaseAwayError, Inbox, UnstorableError
from webhook.openapi import WEBHOOK_PATHS
from webhook.settings import WebhookSettings

log = logging.getLogger(__name__)

# The same for a new event and a repeated one: to the sender they are the same.
STORED = Response(b'{"status":"stored"}', media_type="application/json")
COUNT_STORED = metrics.DELIVERIES.labels("200")


class HotPath:
    """Answers deliveries before FastAPI's own machinery, which costs a third of the time of one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in WEBHOOK_PATHS:
            response = await answer(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def answer(request: Request) -> Response:
    """Whop's events by their type, signed; in development also unsigned and flat ones."""
    if request.method != "POST":
        # Whop may look whether anybody is there (whop-api.md 4.4).
        return JSONResponse({"status": "ready for POST"})
    try:
        await store(request)
    except Refusal as refusal:
        return refuse(refusal.status, refusal.detail)
    except UnstorableError as error:
        return refuse(422, str(error))
    except DatabaseAwayError as error:
        return refuse(503, str(error), {"Retry-After": "10"})
    COUNT_STORED.inc()
    return STORED


async def store(request: Request) -> None:
    settings: WebhookSettings = request.app.state.settings
    inbox: Inbox = request.app.state.inbox
    now = inbox.now()
    body = await read_body(request)
    event_id = authenticate(request, body, settings, now)
    event = read_delivery(event_id, body, now, settings.default_company)
    proven = not event_id.startswith("unsigned:")
    if event.error is None or proven:
        await inbox.put(event)
    if event.error is not None:
        # Not 200: the payment it is about is not visible. Kept, so that it can be replayed.
        raise Refusal(422, event.error)


async def show_the_way(request: Request) -> Response:
    """A person who opens the receiver's address is looking for the dashboard."""
    return RedirectResponse(request.app.state.settings.frontend_url)


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    metrics.DELIVERIES.labels(str(status)).inc()
    log.info("a delivery was refused: %d %s", status, detail)
    return JSONResponse({"detail": detail}, status, headers)
