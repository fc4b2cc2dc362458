"""An httpx transport to the sandbox in the same process, without a socket."""

from collections.abc import Callable, Collection
from datetime import datetime

import httpx

from sandbox.servers.api import ROOT, WhopApi
from sandbox.servers.posts import Posts, find_platform
from sandbox.servers.sendgrid import SendGrid
from sandbox.wire.exchange import Answer, Request, read_query
from sandbox.world.world import World


class InProcess(httpx.BaseTransport):
    """`httpx.Client(transport=InProcess(world, clock))`. `wait` gets each delay in seconds."""

    def __init__(
        self,
        world: World,
        clock: Callable[[], datetime],
        *,
        api_keys: Collection[str] = ("apik_sandbox",),
        sendgrid_keys: Collection[str] = ("SG.sandbox",),
        wait: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.world = world
        self.whop = WhopApi(world, api_keys)
        self.sendgrid = SendGrid(world, sendgrid_keys)
        self.posts = Posts(world)
        self.clock = clock
        self.wait = wait

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        called = Request(
            method=request.method,
            path=request.url.path,
            query=read_query(request.url.query.decode()),
            headers=dict(request.headers),
            body=request.read(),
        )
        answer = self.find_server(called.path).handle(called, self.clock())
        self.delay_or_fail(answer, request)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    def find_server(self, path: str) -> WhopApi | SendGrid | Posts:
        if path.startswith(ROOT):
            return self.whop
        return self.sendgrid if find_platform(path) is None else self.posts

    def delay_or_fail(self, answer: Answer, request: httpx.Request) -> None:
        """Waits for the delay, or raises what httpx raises if there is no answer in time."""
        if answer.lost == "refused":
            raise httpx.ConnectError("Connection refused", request=request)
        patience = request.extensions.get("timeout", {}).get("read")
        if answer.lost or (patience is not None and answer.delay > patience):
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        if answer.delay:
            self.wait(answer.delay)
