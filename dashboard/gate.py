"""Decides who may use the dashboard, before Streamlit sees a request, HTTP or WebSocket."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.settings import ServerSettings

HEALTH = "/_stcore/health"
# No page takes files. Streamlit would keep in memory what anybody sends.
UPLOADS = "/_stcore/upload_file"


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    text: str


NOTHING_HERE = Refusal(404, "There is nothing here.\n")
NOT_SIGNED_IN = Refusal(
    401, "Please sign in first. This dashboard opens through the sign-in at its own address.\n"
)
FOREIGN_HOST = Refusal(400, "This is not the dashboard's address.\n")
FOREIGN_ORIGIN = Refusal(403, "Another site may not use this dashboard.\n")


class Gate:
    """Lets in what a trusted proxy passes on. That somebody came through it is all that its header
    proves: whom it names is not read."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self.app = app
        self.site = settings.site
        self.header = settings.trusted_user_header
        self.from_anywhere = settings.dashboard_without_sign_in
        self.origin_needed = not settings.in_development

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif asks_for_health(scope):
            await self.answer_health(scope, receive, send)
        elif refusal := self.find_refusal(scope, find_peer(receive)):
            await refuse(refusal, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def answer_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To anybody: nothing of theirs is read, so the answer tells whether it runs, and no more.
        (For a foreign Origin Streamlit would ask a machine on the internet for its own address.)"""

        async def send_without_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)["set-cookie"]
            await send(message)

        bare = {**scope, "headers": [], "query_string": b""}
        await self.app(bare, receive, send_without_cookie)

    def find_refusal(self, scope: Scope, peer: str) -> Refusal | None:
        if UPLOADS in scope["path"].lower():
            return NOTHING_HERE
        if not (self.from_anywhere or self.came_through_proxy(scope, peer)):
            return NOT_SIGNED_IN
        hosts = read_header(scope, "host")
        own = self.site.find_origin(hosts[0]) if len(hosts) == 1 else None
        if own is None:
            return FOREIGN_HOST
        return None if self.is_own(scope, own) else FOREIGN_ORIGIN

    def came_through_proxy(self, scope: Scope, peer: str) -> bool:
        """Without a header, in development: whether it came from near."""
        if not is_near(peer):
            return False
        named = read_header(scope, self.header)
        return not self.header or (len(named) == 1 and bool(named[0].strip()))

    def is_own(self, scope: Scope, own: str) -> bool:
        """A browser names the Origin in every handshake, and in whatever a foreign page asks."""
        origins = read_header(scope, "origin")
        if not origins:
            return scope["type"] == "http" or not self.origin_needed
        return origins == [own]


def asks_for_health(scope: Scope) -> bool:
    is_read = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
    return is_read and scope["path"] == HEALTH


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":  # closed before it is accepted: the server answers 403
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
    else:
        answer = PlainTextResponse(refusal.text, refusal.status)
        await answer(scope, receive, send)


def read_header(scope: Scope, name: str) -> list[str]:
    wanted = name.lower().encode()
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted]


def find_peer(receive: Receive) -> str:
    """The other end of the connection itself. In scope["client"] uvicorn puts what X-Forwarded-For
    says where FORWARDED_ALLOW_IPS trusts the sender, and some hosts have it trust everybody."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""


def is_near(peer: str) -> bool:
    """On this machine or a private network: nobody on the internet is the trusted proxy."""
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return is_near(str(address.ipv4_mapped))
    return address.is_loopback or address.is_private
