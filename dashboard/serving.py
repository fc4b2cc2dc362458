"""What stands around Streamlit's server: the gate, every answer's headers, compressed files."""

from __future__ import annotations

import gzip
import re
from functools import cache
from mimetypes import guess_type
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.file_util import get_static_dir

from dashboard.gate import Gate
from dashboard.settings import ServerSettings

# Fonts and pictures are compressed already.
SHRINKING = {".js", ".css"}
# As Streamlit says of the same files: each one's name changes with its content.
FOR_GOOD = "public, immutable, max-age=31536000"
NOT_KEPT = "private, no-store"
LASTING = re.compile(r"/static/.+\.[\w-]{8}\.\w+")
UNCHANGED = {200, 206, 304}


def list_middleware(settings: ServerSettings) -> list[Middleware]:
    """From the outside in. What is refused gets the headers too."""
    files = list_files(Path(get_static_dir()))
    return [
        Middleware(SafeAnswers, framed_by=settings.frame_ancestors, files=files),
        Middleware(Gate, settings=settings),
        Middleware(CompressedFiles, files=files),
    ]


def list_files(folder: Path) -> dict[str, Path]:
    """Streamlit's own, each by its path in the address."""
    return {f"/{file.relative_to(folder).as_posix()}": file for file in folder.rglob("*.*")}


class SafeAnswers:
    """Puts on every answer what keeps a browser from misusing it, or from keeping it."""

    def __init__(self, app: ASGIApp, framed_by: str, files: dict[str, Path]) -> None:
        self.app = app
        self.lasting = {path for path in files if LASTING.fullmatch(path)}
        self.headers = {
            "content-security-policy": f"frame-ancestors 'self' {framed_by}".strip(),
            "x-content-type-options": "nosniff",
            # An address names a member's payment: no other site learns of it.
            "referrer-policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                if not (scope["path"] in self.lasting and message["status"] in UNCHANGED):
                    headers["cache-control"] = NOT_KEPT
            await send(message)

        await self.app(scope, receive, send_safely)


class CompressedFiles:
    """Streamlit leaves its own files as they are, since it would compress each answer anew. Here
    each is compressed once, when first asked for, and kept."""

    def __init__(self, app: ASGIApp, files: dict[str, Path]) -> None:
        self.app = app
        # Only these are ever kept in memory.
        self.files = {path: file for path, file in files.items() if file.suffix in SHRINKING}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = self.files.get(scope.get("path", ""))
        if file is None or not may_be_compressed(scope):
            await self.app(scope, receive, send)
            return
        headers = {
            "cache-control": FOR_GOOD,
            "content-encoding": "gzip",
            "vary": "accept-encoding",
        }
        body = await run_in_threadpool(compress, file)
        answer = Response(body, headers=headers, media_type=guess_type(file)[0])
        await answer(scope, receive, send)


def may_be_compressed(scope: Scope) -> bool:
    """A part of a file is a part of what it is uncompressed."""
    headers = Headers(scope=scope)
    wants = "gzip" in headers.get("accept-encoding", "")
    return wants and scope.get("method") == "GET" and "range" not in headers


@cache
def compress(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), 6, mtime=0)
