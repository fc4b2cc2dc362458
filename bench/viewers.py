"""Viewers of the dashboard, without a browser: each opens a websocket as Streamlit's page does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import perf_counter

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from bench.scratch import BenchError

# The header that a proxy sends after signing a viewer in.
HEADER = "X-Forwarded-Email"
PATIENCE = 30.0
FULL_SIZE = 2**26


@dataclass(slots=True)
class RefreshTimes:
    """The seconds of each refresh, over all viewers."""

    refreshes: list[float] = field(default_factory=list)


class Viewer:
    """One session. It remembers the ids that the page needs for a refresh."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.page = ""
        self.fragment: str | None = None

    async def open(self) -> None:
        """Loads the page. Raises BenchError if it shows an error or does not refresh by itself."""
        await self.run(ClientState(query_string=""))
        if self.fragment is None:
            raise BenchError("the dashboard's page does not refresh by itself")

    async def refresh(self) -> float:
        wanted = ClientState(
            page_script_hash=self.page, fragment_id=self.fragment or "", is_auto_rerun=True
        )
        began = perf_counter()
        await self.run(wanted)
        return perf_counter() - began

    async def run(self, wanted: ClientState) -> None:
        await self.socket.send(BackMsg(rerun_script=wanted).SerializeToString())
        changes = 0
        while True:
            answer = await asyncio.wait_for(self.socket.recv(decode=False), PATIENCE)
            message = ForwardMsg.FromString(answer)
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.page = message.new_session.page_script_hash
            elif kind == "auto_rerun":
                self.fragment = message.auto_rerun.fragment_id
            elif kind in {"delta", "ref_hash"}:
                changes += 1
                if message.delta.new_element.WhichOneof("type") == "exception":
                    raise BenchError("the dashboard shows an error")
            elif kind == "script_finished":
                break
        if not changes:
            raise BenchError("a refresh of the dashboard changed nothing")


def origin(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def open_socket(port: int) -> ClientConnection:
    return await connect(
        f"ws://127.0.0.1:{port}/_stcore/stream",
        origin=Origin(origin(port)),
        additional_headers={HEADER: "viewer@example.com"},
        max_size=FULL_SIZE,
    )


async def watch(
    port: int, viewers: int, seconds: float, every: float, warm_up: float = 0
) -> RefreshTimes:
    """Every viewer refreshes for `seconds`, once in `every` seconds (0: again at once).

    Refreshes that began in the warm-up are not counted.
    """
    times = RefreshTimes()
    try:
        sockets = [await open_socket(port) for _ in range(viewers)]
        people = [Viewer(socket) for socket in sockets]
        for viewer in people:
            await viewer.open()
        begin = perf_counter() + warm_up
        end = begin + seconds

        async def look(viewer: Viewer, late: float) -> None:
            await asyncio.sleep(late)
            while (now := perf_counter()) < end:
                took = await viewer.refresh()
                if begin <= now and now + took <= end:
                    times.refreshes.append(took)
                await asyncio.sleep(max(every - took, 0))

        # Viewers start at different moments, so that their refreshes are spread out.
        await asyncio.gather(*(look(one, every * n / viewers) for n, one in enumerate(people)))
    except (OSError, TimeoutError, WebSocketException) as error:
        raise BenchError(f"the dashboard stopped answering: {error}") from error
    for socket in sockets:
        await socket.close()
    return times
