"""The sandbox over HTTP: Whop, SendGrid, Discord and Slack, and pages to look at them."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi import Request as HttpRequest
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from sandbox.model.times import utc
from sandbox.servers.api import ROOT, WhopApi
from sandbox.servers.chat_page import chat_in_json, posts_page, support_page
from sandbox.servers.control import Control
from sandbox.servers.front_page import front_page
from sandbox.servers.mail_page import POLICY, mail_in_json, mails_page
from sandbox.servers.posts import Posts, post_in_json
from sandbox.servers.sendgrid import SendGrid
from sandbox.servers.support import Support
from sandbox.wire.exchange import Answer, Request, read_query
from sandbox.world.world import World

MAILS_SHOWN = 100
POST_PATHS = ("/api/webhooks/{path:path}", "/services/{path:path}")


class Server(Protocol):
    def handle(self, request: Request, now: datetime) -> Answer: ...


def create_app(
    world: World,
    clock: Callable[[], datetime],
    *,
    api_keys: Collection[str] = ("apik_sandbox",),
    sendgrid_keys: Collection[str] = ("SG.sandbox",),
) -> FastAPI:
    # No documentation pages, because they would load scripts from another host.
    app = FastAPI(title="Sandbox", docs_url=None, redoc_url=None)
    whop, sendgrid = WhopApi(world, api_keys), SendGrid(world, sendgrid_keys)
    app.include_router(served(whop, ROOT + "/{path:path}", clock))
    app.include_router(served(sendgrid, "/v3/{path:path}", clock))
    for path in POST_PATHS:
        app.include_router(served(Posts(world), path, clock))
    app.include_router(pages(world, sendgrid, clock))
    app.include_router(Control(world, whop, clock).routes())
    return app


def served(server: Server, path: str, clock: Callable[[], datetime]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.api_route(path, methods=["GET", "POST", "PATCH"])
    async def serve(request: HttpRequest) -> Response:
        called = Request(
            method=request.method,
            path=request.url.path,
            query=read_query(request.url.query),
            headers=dict(request.headers),
            body=await request.body(),
        )
        answer = await run_in_threadpool(server.handle, called, clock())
        # Cancelled only when the sandbox stops: not worth a traceback.
        with suppress(asyncio.CancelledError):
            await (wait_until_hung_up(request) if answer.lost else asyncio.sleep(answer.delay))
        return Response(answer.body, answer.status or 503, headers=dict(answer.headers))

    return router


def pages(world: World, sendgrid: SendGrid, clock: Callable[[], datetime]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/mails.json")
    def mails_json() -> list[dict[str, Any]]:
        now = utc(clock())
        return [mail_in_json(mail, world.mail_events.of(mail.id, now)) for mail in sendgrid.mails()]

    @router.get("/mails")
    def mails() -> HTMLResponse:
        now = utc(clock())
        shown = [(mail, world.mail_events.of(mail.id, now)) for mail in sendgrid.mails(MAILS_SHOWN)]
        return HTMLResponse(mails_page(shown), headers={"Content-Security-Policy": POLICY})

    @router.get("/support.json")
    def support_json() -> list[dict[str, Any]]:
        return [chat_in_json(chat) for chat in Support(world).chats()]

    @router.get("/support")
    def support() -> HTMLResponse:
        return HTMLResponse(support_page(Support(world).chats()))

    @router.get("/posts.json")
    def posts_json() -> list[dict[str, Any]]:
        return [post_in_json(post) for post in Posts(world).list()]

    @router.get("/posts")
    def posts() -> HTMLResponse:
        return HTMLResponse(posts_page(Posts(world).list()))

    @router.get("/")
    def front() -> HTMLResponse:
        return front_page(world)

    return router


async def wait_until_hung_up(request: HttpRequest) -> None:
    """Waits until the caller, who gets no answer, hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
