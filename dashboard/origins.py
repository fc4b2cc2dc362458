"""The dashboard's own address, and how to tell it from a foreign one."""

from __future__ import annotations

import re
from dataclasses import dataclass

ADDRESS = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?(/\S*)?")
USUAL_PORTS = {"http": ":80", "https": ":443"}
THIS_MACHINE = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")


def read_origin(url: str) -> str:
    """Scheme, host and port of an address, as a browser writes them."""
    found = ADDRESS.fullmatch(url.strip().lower())
    if found is None:
        raise ValueError("an address such as https://dashboard.example.com")
    scheme, name, port, _ = found.groups(default="")
    return f"{scheme}://{name}" + ("" if port == USUAL_PORTS[scheme] else port)


@dataclass(frozen=True, slots=True)
class Site:
    origin: str
    # In development: under this machine's own names as well, on whatever port.
    on_this_machine: bool = False

    def find_origin(self, host: str) -> str | None:
        """The origin of a page that was asked for under this Host. None: the Host is foreign."""
        if host == self.origin.partition("://")[2]:
            return self.origin
        if self.on_this_machine and THIS_MACHINE.fullmatch(host):
            return f"http://{host}"
        return None
