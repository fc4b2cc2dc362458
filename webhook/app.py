"""Assembles the receiver; `main.py` starts it."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Engine
from starlette.types import Receive, Scope, Send

from db.session import now as utc_now
from db.session import session_factory
from webhook import api, openapi, payments
from webhook.group_commit import GroupCommit
from webhook.hand_made import HandMadePayments
from webhook.openapi import ALL_WEBHOOK_PATHS, EVENTS_PATH, WEBHOOK_PATHS
from webhook.routes import WebhookHandler, redirect_to_dashboard, refuse
from webhook.sendgrid_events import SendGridWebhook
from webhook.settings import WebhookSettings
from whop.payloads import read_event

log = logging.getLogger(__name__)


class Receiver(FastAPI):
    """FastAPI, except that webhook deliveries bypass it and go straight to `handler`."""

    handler: WebhookHandler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in WEBHOOK_PATHS:
            scope["path"] = tidy_path(scope["path"])
        if scope["type"] == "http" and scope["path"] in WEBHOOK_PATHS:
            response = await self.handler.answer(scope, receive)
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    settings: WebhookSettings,
    engine: Engine,
    now: Callable[[], datetime] = utc_now,
    writer_engine: Engine | None = None,
) -> Receiver:
    """`writer_engine` holds a connection that only the group commit uses."""
    app = Receiver(
        title="Whop Churn Dashboard: receiver",
        version="0.1.0",
        lifespan=run_group_commit,
        # The documentation page would load scripts from another host.
        docs_url=None,
        redoc_url=None,
        # Senders of webhooks follow no redirect: `tidy_path` finds the route instead.
        redirect_slashes=False,
    )
    sessions = session_factory(engine)
    read = partial(read_event, default_company=settings.default_company)
    app.state.settings = settings
    app.state.sessions = sessions
    writer = session_factory(writer_engine or engine)
    app.state.group_commit = GroupCommit(writer, settings.rules, read, now)
    app.handler = WebhookHandler(settings, app.state.group_commit, HandMadePayments(settings))
    if settings.in_development:
        app.router.add_route("/", redirect_to_dashboard, methods=["GET"], include_in_schema=False)
    app.include_router(api.router)
    app.include_router(payments.router)
    app.include_router(SendGridWebhook(settings, sessions, now).routes())
    app.add_exception_handler(RequestValidationError, name_the_parameter)
    app.add_exception_handler(404, name_the_routes)
    openapi.describe_webhooks(app)
    return app


@asynccontextmanager
async def run_group_commit(app: FastAPI) -> AsyncIterator[None]:
    # No access log: it costs a quarter of the throughput. /metrics counts requests instead.
    logging.getLogger("uvicorn.access").handlers.clear()
    logging.getLogger("uvicorn.access").propagate = False
    warn_if_open(app.state.settings)
    # Imported modules live for ever, so the garbage collector need not walk them again and again.
    # Deliveries leave no reference cycles, so it may run seldom.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    group_commit: GroupCommit = app.state.group_commit
    group_commit.start()
    yield
    group_commit.stop()
    app.state.sessions.kw["bind"].dispose()


def warn_if_open(settings: WebhookSettings) -> None:
    if settings.in_development:
        log.warning("development: unsigned webhooks and email events are accepted")
        if not settings.api_token.get_secret_value():
            log.warning("development: the REST API needs no token")


async def name_the_parameter(request: Request, error: Any) -> JSONResponse:
    problems = [f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()]
    return JSONResponse({"detail": "; ".join(problems)}, 422)


def tidy_path(path: str) -> str:
    """Without doubled and trailing slashes, and a webhook's in lower case: such an address is typed
    by hand at Whop, and what is delivered to a wrong one is lost."""
    tidied = "/" + "/".join(part for part in path.split("/") if part)
    return tidied.lower() if tidied.lower() in ALL_WEBHOOK_PATHS else tidied


async def name_the_routes(request: Request, error: Any) -> Response:
    if error.detail != HTTPStatus.NOT_FOUND.phrase:
        # A route's own words.
        return JSONResponse({"detail": error.detail}, 404)
    detail = f"nothing is at this address; webhooks go to {EVENTS_PATH}, GET /openapi.json has all"
    if request.method == "POST":
        # Perhaps a delivery to an address that was typed wrongly.
        return refuse(404, detail)
    return JSONResponse({"detail": detail}, 404)
